"""Checks of a config's cache of the teacher's outputs against methods, mixing and views."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.experiment.method_sections import listed_methods, methods_of_student, registered
from rolewise.foreign_code import is_import_path
from rolewise.train.cached_outputs import TOP_METHODS


def cache_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every setting that does not go with a cache of the teacher's outputs.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: they are not checked.
    """
    cache, path = config.distill.cache, ("distill", "cache")
    if cache is None:
        return
    if (cache.views == "clean") != (config.distill.view == "clean"):
        way = "set distill.view to clean" if cache.views == "clean" else "set distill.cache.views to clean"
        yield (*path, "views"), f"must fit distill.view, {config.distill.view}, got {cache.views}; {way}"
    task = config.task_name
    if task == "detection":
        yield path, "must be left out for the task detection, whose outputs are not of one size for all images"
        return
    if cache.top is not None and task != "classification" and not is_import_path(task):
        rule = f"must go with the task classification, got {task}, whose outputs are no probabilities of classes"
        yield (*path, "top"), f"{rule} for each example; leave top out"
    if config.distill.teacher_mode != "eval":
        yield path, "must be left out under teacher_mode batch_statistics, where outputs depend on the batch"
    for index, student in enumerate(config.students):
        if student.mix.method != "none":
            yield (
                ("students", index, "mix", "method"),
                'must be "none" beside distill.cache: pairs differ in each epoch',
            )
        if cache.views != "clean" and (batches := student.train.batches) != "shuffled":
            yield (
                ("students", index, "train", "batches"),
                f'must be "shuffled" beside distill.cache with the views {cache.views}, got "{batches}", which shows '
                "examples several times in an epoch; leave cache out, or set views and distill.view to clean",
            )
        names = [some for _, method in methods_of_student(config, index) for some in registered(method)]
        if names and not left_out and all(METHODS[some].taught_by == "itself" for some in names):
            yield path, f"must go with a method that a teacher teaches, got {', '.join(names)} alone; leave cache out"
            return
    for place, method in listed_methods(config):
        if any((*place, key) in left_out for key in ("method", "name")):
            continue
        for some in registered(method):
            if METHODS[some].reads != "logits":
                rule = f'must read outputs alone beside distill.cache, got "{some}", which reads features'
                yield place, f"{rule}; take it out, or leave cache out"
            elif cache.top is not None and some not in TOP_METHODS:
                yield (*path, "top"), f'must go with {" or ".join(TOP_METHODS)}, got "{some}"; leave top out'
