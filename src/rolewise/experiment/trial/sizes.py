"""Numbers of images that an experiment wants of each part, against the numbers in the data."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.data.splits import count_of
from rolewise.data.unlabelled import validation_fault
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.trial.moment_trial import moment_faults


def size_faults(
    config: ExperimentConfig, total: int, own_test: int | None, *, labelled: bool = True
) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for every number of images that the data cannot give; what depends on it is left out.

    Args:
        config: the experiment.
        total: number of training images in the data set.
        own_test: number of test images of its own; None where it has none.
        labelled: whether the training images have classes; validation images are drawn from the others where not.
    """
    data, usable = config.data, total
    if not labelled and own_test is not None:
        if fault := validation_fault(data.validation, own_test):
            yield ("data", "validation"), fault
            return
        own_test -= count_of("validation", data.validation, own_test)
    if data.test is not None:
        part = total if own_test is None else own_test
        tested = count_of("test", data.test, part)
        if own_test is None and tested >= total:
            yield ("data", "test"), f"must leave some of the {total:,} images to train on, got {tested:,}; lower it"
            return
        if own_test is not None and not 1 <= tested <= own_test:
            yield ("data", "test"), f"must be 1 to {own_test:,}, the size of the set's own test part, got {data.test}"
        usable -= tested if own_test is None else 0
    if data.limit is not None and data.limit > usable:
        yield ("data", "limit"), f"must be at most the {usable:,} training images, got {data.limit:,}; lower it"
        return
    usable = data.limit or usable
    if not labelled:
        yield from _roles(config, usable)
        yield from moment_faults(config, usable)
        return
    validation = count_of("validation", data.validation, usable)
    if validation >= usable:
        rule = f"must leave some of the {usable:,} images to train on, got {validation:,}"
        yield ("data", "validation"), f"{rule}; lower it" + (", or raise data.limit" if data.limit else "")
        return
    yield from _roles(config, usable - validation)
    yield from moment_faults(config, usable - validation)


def _roles(config: ExperimentConfig, trained: int) -> Iterator[tuple[Steps, str]]:
    searched = {
        "teacher" if stage.role == "teacher" else "student" for stage in stages_of(config) if stage.kind == "search"
    }
    wanted: list[tuple[Steps, int | None]] = [
        (("students", at, "images"), student.images) for at, student in enumerate(config.students)
    ]
    if config.teacher.weights is None:
        wanted.append((("teacher", "images"), config.teacher.images))
    for role, images in (("teacher", config.search.teacher_images), ("student", config.search.student_images)):
        if role in searched:
            wanted.append((("search", f"{role}_images"), images))
    for steps, images in wanted:
        if images is not None and images > trained:
            yield steps, f"must be at most the {trained:,} images that may be trained on, got {images:,}; lower it"
