"""Moments of training that are counted in epochs or steps, tried against the trainings of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolewise.config.faults import Steps
from rolewise.config.network_sections import MixSection, StudentSection
from rolewise.config.phase_sections import phase_ends
from rolewise.config.schema import ExperimentConfig
from rolewise.config.training_sections import TrainSection
from rolewise.distill import weight_of
from rolewise.errors import InputError
from rolewise.experiment.method_sections import methods_of_student
from rolewise.train import RateSchedule
from rolewise.train.batch_order import epoch_length
from rolewise.train.feed import number_of_batches


def moment_faults(config: ExperimentConfig, trained: int) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for every warm-up that takes all of a training, and number whose moments are out of order.

    Args:
        config: the experiment.
        trained: the number of images that may be trained on.
    """
    if config.teacher.weights is None:
        steps = _steps(config.teacher.train, config.teacher.images or trained)
        yield from _schedule_faults(config.teacher.train, steps, ("teacher", "train"))
        yield from _mixing_faults(config.teacher.mix, config.teacher.train.epochs, steps, ("teacher", "mix"))
    for at, student in enumerate(config.students):
        steps = _steps(student.train, student.images or trained)
        yield from _schedule_faults(student.train, steps, ("students", at, "train"))
        yield from _mixing_faults(student.mix, student.train.epochs, steps, ("students", at, "mix"))
        for number, phase in enumerate(student.phases):
            below: Steps = ("students", at, "phases", number)
            if phase.schedule is not None:
                own = {"epochs": _epochs(student, below), "schedule": phase.schedule}
                yield from _schedule_faults(student.train.model_copy(update=own), steps, below)
        for place, method in methods_of_student(config, at):
            for path, message in _weight_faults(method, _epochs(student, place), steps):
                yield (*place, *path), f'{message} of the student "{student.name}"'


def _epochs(student: StudentSection, place: Steps) -> int:
    """Returns the epochs of the training, or of the phase, in which a method of a config is."""
    if place[0] != "students":
        return student.train.epochs
    try:
        ends = (0, *phase_ends(student.phases, student.train.epochs))
    except InputError:
        return student.train.epochs  # found where phases are checked
    number = int(place[3])
    return ends[number + 1] - ends[number]


def _steps(train: TrainSection, images: int) -> int:
    """Returns the number of optimiser steps of one epoch."""
    shown = epoch_length(images, train.batch_size, train.batches)
    return -(-number_of_batches(shown, train.batch_size) // train.accumulate)


def _schedule_faults(train: TrainSection, steps: int, path: Steps) -> Iterator[tuple[Steps, str]]:
    try:
        RateSchedule(**train.schedule.model_dump()).over(train.epochs, steps)
    except InputError as error:
        yield (*path, "schedule", "warmup"), str(error).removeprefix("warmup ")


def _mixing_faults(mix: MixSection, epochs: int, steps: int, path: Steps) -> Iterator[tuple[Steps, str]]:
    for name in ("alpha", "share"):
        try:
            weight_of(getattr(mix, name)).over(epochs, steps)
        except InputError as error:
            yield (*path, name, *error.path), error.rule


def _weight_faults(method: Mapping[str, Any], epochs: int, steps: int) -> Iterator[tuple[Steps, str]]:
    try:
        weight = weight_of(method.get("weight", 1.0))
    except InputError:
        return  # found where methods are configured
    try:
        weight.over(epochs, steps)
    except InputError as error:
        yield ("weight", *error.path), error.rule
