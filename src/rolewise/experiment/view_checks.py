"""Checks of a config's second view of each image against the methods that read it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.distill.settings import method_name
from rolewise.experiment.method_sections import listed_methods


def view_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where a method lacks the strong view, and where that view does not go with the rest.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: they are not checked.
    """
    read = unknown = False
    for path, method in listed_methods(config):
        if any((*path, key) in left_out for key in ("method", "name")):
            unknown = True
            continue
        term = METHODS[method_name(method)].term if method_name(method) in METHODS else None
        if term is None or "strong" not in term.views:
            continue
        read = True
        if config.distill.strong is None and term.needs_views:
            name = method_name(method)
            yield path, f'must have a second view, as "{name}" compares two: write distill.strong: randaugment'
    if config.distill.strong is None:
        return
    place: Steps = ("distill", "strong")
    if not read and not unknown:
        yield place, "must go with a method that reads a second view, crld or mlkd, got none; leave it out"
    if any(student.mix.method != "none" for student in config.students):
        yield place, "must be without mixing, as the second view is of one image; set mix.method to none"
    if config.distill.cache is not None:
        yield place, "must be without a cache, which keeps the outputs for one view; take distill.cache out"
    if config.task != "classification":
        yield place, f"must be of images with one class each, got the task {config.task}; leave it out"
