"""One epoch of a training, from wherever it stands to the end or to a pause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import nn

from rolewise.batch import Batch, Context
from rolewise.errors import NonFiniteError
from rolewise.train.failure_cause import why
from rolewise.train.gradients import GradientProbe
from rolewise.train.rates import rate
from rolewise.train.record import EpochRecord, check_weights
from rolewise.train.rule import StepRule
from rolewise.train.step import train_step

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


def run_epoch(trainee: Trainee, measured: bool, pause: Callable[[], bool]) -> dict[str, Any] | None:
    """Trains the rest of an epoch.

    Args:
        trainee: the training, between two steps.
        measured: whether the gradients' norms are measured at the epoch's first step.
        pause: called between two steps; where it returns True, the epoch is left half done.

    Returns:
        The epoch's record; None where it was left half done.

    Raises:
        NonFiniteError: a term, or after the epoch a weight, is NaN or infinite.
    """
    trainee.distiller.train()
    for module in trainee.still:
        module.eval()
    averages = [update.average for update in trainee.updates if update.average is not None]
    for average, network in averages:
        average.attach(network)
    if not trainee.step:
        trainee.record = EpochRecord()
    try:
        count = trainee.settings.accumulate
        batches = trainee.feed.batches(trainee.epoch, trainee.step * count)
        while group := list(islice(batches, count)):
            _step(trainee, group, measured and not trainee.step)
            if trainee.step < trainee.steps_per_epoch and pause():
                break
        read_terms(trainee)
        if trainee.step < trainee.steps_per_epoch:
            return None
        check_weights(trainee.distiller, _number(trainee) - 1)
    except NonFiniteError:
        trainee.step = 0
        raise
    for average, _ in averages:
        average.take_counters()
    trainee.epoch, trainee.step = trainee.epoch + 1, 0
    return {"epoch": trainee.epoch, "progress": trainee.progress, **trainee.record.fields(trainee.feed.counts)}


def read_terms(trainee: Trainee) -> None:
    """Reads the terms of the last steps off the device into the epoch's record.

    Raises:
        NonFiniteError: one of them is NaN or infinite.
    """
    last = trainee.record.last_batch
    if last is not None:
        trainee.record.tally.read(_number(trainee), partial(why, trainee.distiller, last))


def _step(trainee: Trainee, batches: Sequence[Batch], measured: bool) -> None:
    settings, record, number = trainee.settings, trainee.record, _number(trainee)
    progress = number / (trainee.steps_per_epoch * settings.epochs)
    record.learning_rate = trainee.learning_rate * rate(trainee.schedule, progress)
    trainee.rates.set(record.learning_rate)
    probe = GradientProbe(_of_students(trainee)) if measured else None
    ratio = settings.gradient_ratio(trainee.epoch)
    rule = StepRule(settings.precision, trainee.scaler, settings.clip_norm, ratio, probe)
    context = Context(progress, number, trainee.epoch + trainee.step / trainee.steps_per_epoch, trainee.seed)
    record.tally.add(train_step(trainee.updates, batches, context, rule))
    if probe is not None and probe.norms is not None:
        record.gradients = probe.norms.to_json()
    record.last_batch = batches[-1]
    trainee.step += 1
    if record.tally.full:
        read_terms(trainee)


def _of_students(trainee: Trainee) -> list[nn.Parameter]:
    students = trainee.distiller.students.values()
    return [weight for student in students for weight in student.parameters() if weight.requires_grad]


def _number(trainee: Trainee) -> int:
    """Returns the number of steps taken."""
    return trainee.epoch * trainee.steps_per_epoch + trainee.step
