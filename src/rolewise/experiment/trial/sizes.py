"""Numbers of images that an experiment wants of each part, against the numbers in the data."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.data.limits import limited_test, limited_unlabelled, limited_validation, used_beside
from rolewise.data.splits import count_of
from rolewise.data.unlabelled import validation_fault
from rolewise.errors import InputError
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.trial.cache_size import cache_size_faults
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.moment_trial import moment_faults


def size_faults(config: ExperimentConfig, images: ImageFacts) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for every number of images that the data cannot give; what depends on it is left out.

    Args:
        config: the experiment.
        images: of the data set; nothing is judged where it is not known how many there are.
    """
    if images.counts is None:
        return
    (total, own_test), labelled, own = images.counts, images.labelled, images.validating
    data, usable = config.data, total - (own or 0)
    try:
        if not labelled and own_test is not None:
            if fault := validation_fault(data.validation, own_test):
                yield ("data", "validation"), fault
                return
            own_test -= limited_validation(data.limit, count_of("validation", data.validation, own_test))
        tested = own_test or 0
        if data.test is not None:
            part = usable if own_test is None else own_test
            tested = count_of("test", data.test, part)
            if own_test is None and tested >= usable:
                yield (
                    ("data", "test"),
                    f"must leave some of the {usable:,} examples to train on, got {tested:,}; lower it",
                )
                return
            if own_test is not None and not 1 <= tested <= own_test:
                rule = f"must be 1 to {own_test:,}, the size of the set's own test part, got {data.test}"
                yield ("data", "test"), rule
            usable -= tested if own_test is None else 0
        limited_test(data.limit, tested)
        validating: int | float = 0
        if labelled:
            usable, validating = used_beside(data.limit, usable, data.validation, own)
        else:
            usable = limited_unlabelled(data.limit, usable)
    except InputError as error:
        yield error.path, error.rule
        return
    validation = count_of("validation", validating, usable) if own is None else 0
    if labelled and validation >= usable:
        rule = f"must leave some of the {usable:,} examples to train on, got {validation:,}"
        yield ("data", "validation"), f"{rule}; lower it" + (", or raise data.limit" if data.limit else "")
        return
    yield from _roles(config, usable - validation)
    yield from moment_faults(config, usable - validation)
    yield from cache_size_faults(config, usable - validation, images.classes)


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
            yield steps, f"must be at most the {trained:,} examples that may be trained on, got {images:,}; lower it"
