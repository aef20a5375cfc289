"""One epoch of a training, from wherever it stands to the end or to a pause."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.errors import NonFiniteError
from rolewise.train.failure_cause import why
from rolewise.train.gradients import GradientProbe
from rolewise.train.rates import rate
from rolewise.train.record import EpochRecord, check_weights
from rolewise.train.reproducible import reproducible
from rolewise.train.rule import StepRule
from rolewise.train.step import train_step

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


@dataclass(frozen=True)
class StepWork:
    """The work of one step.

    Args:
        batches: of the step; their gradients are averaged.
        context: progress, step and epoch of the training.
        rule: precision, clipping, bounds.
    """

    batches: Sequence[Batch]
    context: Context
    rule: StepRule


#: Gives a step's work and takes its `Terms`, or gives None between two steps and takes whether to pause there.
EpochSteps: TypeAlias = Generator[StepWork | None, Any, dict[str, Any] | None]


def run_epoch(trainee: Trainee, measured: bool, pause: Callable[[], bool] | None) -> dict[str, Any] | None:
    """Trains the rest of an epoch.

    Args:
        trainee: the training, between two steps.
        measured: whether the gradients' norms are measured at the epoch's first step.
        pause: called between two steps; where it returns True, the epoch is left half done. None for never.

    Returns:
        The epoch's record; None where it was left half done.

    Raises:
        NonFiniteError: a term, or after the epoch a weight, is NaN or infinite.
    """
    steps = epoch_steps(trainee, measured)
    answer: Any = None
    try:
        with reproducible(trainee.device):
            while True:
                work = steps.send(answer)
                if work is None:
                    answer = pause is not None and pause()
                else:
                    answer = train_step(trainee.updates, work.batches, work.context, work.rule)
    except StopIteration as end:
        record: dict[str, Any] | None = end.value
        return record
    except NonFiniteError:
        trainee.step = 0
        raise


def epoch_steps(trainee: Trainee, measured: bool) -> EpochSteps:
    """Gives the steps of the rest of an epoch to whoever takes them; the result is as of `run_epoch`.

    Args:
        trainee: the training, between two steps.
        measured: whether the gradients' norms are measured at the epoch's first step.

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
    steps, count = trainee.steps_per_epoch, trainee.settings.accumulate
    rule = _rule(trainee, measured and not trainee.step)
    feed = trainee.feed if trainee.cache is None else trainee.cache
    batches = feed.batches(trainee.epoch, trainee.step * count)
    while group := list(islice(batches, count)):
        work = _work(trainee, group, rule, steps)
        _note(trainee, work, (yield work))
        if trainee.step < steps and (yield None):
            break
    read_terms(trainee)
    if trainee.step < steps:
        return None
    check_weights(trainee.distiller, (trainee.epoch + 1) * steps - 1)
    for average, _ in averages:
        average.take_counters()
    # Norms that are local have statistics of their own in each process.
    trainee.ranks.share_first(trainee.distiller)
    trainee.epoch, trainee.step = trainee.epoch + 1, 0
    phase = {} if trainee.course.title is None else {"phase": trainee.course.title}
    # At once, so that a state which is taken from here on is that of the next phase.
    trainee.course.enter(trainee, trainee.epoch)
    done = {"epoch": trainee.epoch, "progress": trainee.progress}
    return {**done, **phase, **trainee.record.fields(trainee.feed.counts)}


def read_terms(trainee: Trainee) -> None:
    """Reads the terms of the last steps off the device into the epoch's record.

    Raises:
        NonFiniteError: one of them is NaN or infinite.
    """
    last, done = trainee.record.last_batch, trainee.epoch * trainee.steps_per_epoch + trainee.step
    if last is not None:
        trainee.record.tally.read(done, partial(why, trainee.distiller, last))


def _rule(trainee: Trainee, measured: bool) -> StepRule:
    settings = trainee.settings
    graphs = settings.compile == "graphs"
    # A second pass back keeps what the recorded first one lets go, which torch refuses at the next replay.
    students = _of_students(trainee) if measured and not graphs else []
    # In a phase, the learned parts of terms may be all that is trained.
    probe = GradientProbe(students) if students else None
    ratio = settings.gradient_ratio(trainee.epoch)
    together = trainee.ranks if trainee.ranks.world > 1 else None
    return StepRule(settings.precision, trainee.scaler, settings.clip_norm, ratio, probe, together, graphs)


def _work(trainee: Trainee, batches: Sequence[Batch], rule: StepRule, steps: int) -> StepWork:
    """Returns the work of the next step, with the learning rates that it has."""
    record, number = trainee.record, trainee.epoch * steps + trainee.step
    first, end = trainee.course.first, trainee.course.end
    progress = (number - first * steps) / (steps * (end - first))
    record.learning_rate = trainee.learning_rate * rate(trainee.schedule, progress)
    for group, factor in zip(trainee.optimizer.param_groups, trainee.rate_factors, strict=True):
        group["lr"] = record.learning_rate * factor
    return StepWork(batches, Context(progress, number, trainee.epoch + trainee.step / steps, trainee.seed), rule)


def _note(trainee: Trainee, work: StepWork, terms: Terms) -> None:
    """Takes the terms of a step that was done into the epoch's record."""
    record, rule = trainee.record, work.rule
    full = record.tally.add(terms)
    if record.gradients is None and rule.probe is not None and rule.probe.norms is not None:
        record.gradients = rule.probe.norms.to_json()
    record.last_batch = work.batches[-1]
    trainee.step += 1
    if full:
        read_terms(trainee)


def _of_students(trainee: Trainee) -> list[nn.Parameter]:
    students = trainee.distiller.students.values()
    return [weight for student in students for weight in student.parameters() if weight.requires_grad]
