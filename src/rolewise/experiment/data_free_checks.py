"""Checks of students that learn on made images: what else of a config does not go with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import reads_texts
from rolewise.distill import METHODS
from rolewise.errors import near
from rolewise.experiment.arms import label
from rolewise.experiment.made_images import maker_settings
from rolewise.experiment.method_sections import methods_of_student, registered

_ALONE = "made images have no labels, no rows and no augmentation"


def data_free_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for all that does not go with students without data.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: they are not checked.
    """
    found = [(at, student) for at, student in enumerate(config.students) if student.data_free is not None]
    if not found:
        return
    if config.task != "classification" or reads_texts(config.data.name):
        yield ("students", found[0][0], "data_free"), "must be left out where the data are no images of classes"
    distill = config.distill
    for path, wrong, rule in (
        ("label_weight", distill.label_weight, f"must be 0 beside students[].data_free, got {distill.label_weight:g}"),
        ("view", distill.view != "shared", f'must be "shared" beside students[].data_free, got "{distill.view}"'),
        ("cache", distill.cache is not None, "must be left out beside students[].data_free"),
        ("strong", distill.strong is not None, "must be left out beside students[].data_free"),
    ):
        if wrong:
            yield ("distill", path), f"{rule}: {_ALONE}; change it"
    if True in config.arms.distill and [label(spec) for spec in config.arms.student] != ["none"]:
        yield ("arms", "student"), f"must be [none] beside students[].data_free: {_ALONE}; change it"
    for at, student in found:
        yield from ((("students", at, *below), rule) for below, rule in _of_student(student))
        for place, method in methods_of_student(config, at):
            if any((*place, key) in left_out for key in ("method", "name")):
                continue
            for name in registered(method):
                info = METHODS[name]
                needs = "labels" if info.targets else "rows" if info.term and info.term.needs_indices else ""
                needs = needs or ("views" if info.term and info.term.needs_views else "")
                if needs:
                    yield (
                        place,
                        f'must read no {needs} where a student has data_free, got "{name}": {_ALONE}; leave one out',
                    )


def _of_student(student: StudentSection) -> Iterable[tuple[Steps, str]]:
    section = student.data_free
    assert section is not None
    for path, wrong, value in (
        (("phases",), bool(student.phases), len(student.phases)),
        (("peers",), bool(student.peers), len(student.peers)),
        (("mix", "method"), student.mix.method != "none", student.mix.method),
        (("train", "batches"), student.train.batches != "shuffled", student.train.batches),
    ):
        if wrong:
            yield path, f"must be left out beside data_free, got {value}; leave one of them out"
    if len(student.teachers) != 1:
        yield ("teachers",), f"must be one network beside data_free, got {list(student.teachers)}; name one"
    if student.train.batch_size < 2:
        yield ("train", "batch_size"), "must be at least 2 beside data_free, got 1; raise it"
    known = maker_settings(section.method)
    for name, value in section.settings.items():
        if name not in known:
            rule = f'no such setting of "{section.method}"{near(name, known)}'
            yield ("data_free", "settings", name), rule
        elif isinstance(value, bool) != isinstance(known[name], bool) or isinstance(value, str) != isinstance(
            known[name], str
        ):
            yield ("data_free", "settings", name), f"must be like its default {known[name]!r}, got {value!r}"
