"""Several trainings that advance as one, each with its own draws, record and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rolewise.errors import NonFiniteError
from rolewise.train.epoch import EpochSteps, StepWork, epoch_steps
from rolewise.train.reproducible import reproducible
from rolewise.train.stackable import check_stack
from rolewise.train.stacked_step import StackedTrainings

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


def advance_stacked(
    trainees: Sequence[Trainee],
    stop: int,
    *,
    pause: Callable[[], bool] = lambda: False,
    failures: dict[int, str] | None = None,
) -> bool:
    """Trains several trainings as one until an epoch, from wherever they stand (see `StackedTrainings`).

    One whose loss is not finite ends, and the others go on; the stack keeps its size, so that their bytes are the same
    as if it had not.

    Args:
        trainees: of the same kind, at the same step.
        stop: the epoch to end before.
        pause: called between two steps, where it may take the trainings' states; they stop there where it returns True.
        failures: the reasons of those that have ended before, by place, which are left as they are; those that end are
            added.

    Returns:
        Whether the epoch was reached.

    Raises:
        InputError: the trainings cannot be stacked; the message names the reason.
    """
    failures = {} if failures is None else failures
    going = [place for place in range(len(trainees)) if place not in failures]
    if not going:
        return True
    check_stack([trainees[place] for place in going])
    stack = StackedTrainings(trainees)
    while going := [place for place in going if place not in failures]:
        if trainees[going[0]].epoch >= stop:
            break
        with reproducible(trainees[going[0]].device):
            whole = _run_epoch(stack, going, pause, failures)
        if not whole:
            return False
        if any(trainees[place].epoch < stop for place in going if place not in failures) and pause():
            return False
    return True


def _run_epoch(
    stack: StackedTrainings, going: Sequence[int], pause: Callable[[], bool], failures: dict[int, str]
) -> bool:
    """Trains one epoch; returns False where it was left half done."""
    steps: dict[int, EpochSteps] = {place: epoch_steps(stack.trainees[place], False) for place in going}
    answers: dict[int, Any] = dict.fromkeys(steps)
    whole = True
    while steps:
        works: dict[int, StepWork | None] = {}
        for place in list(steps):
            try:
                works[place] = steps[place].send(answers[place])
            except StopIteration as end:
                whole = end.value is not None
                del steps[place]
            except NonFiniteError as error:
                stack.trainees[place].step = 0
                failures[place] = f"{type(error).__name__}: {error}"
                del steps[place]
        real = {place: work for place, work in works.items() if work is not None}
        if real:
            answers = dict(stack.step(real))
        elif works:
            answers = dict.fromkeys(works, pause())
    return whole
