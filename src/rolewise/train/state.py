"""The state of a training: everything that the rest of it depends on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from torch import nn

from rolewise.errors import InputError
from rolewise.train.record import EpochRecord
from rolewise.train.step import Update

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee

#: Raised when the same seed comes to draw other batches: a training that began with others cannot be resumed.
DRAWS = 2


def state_of(trainee: Trainee) -> dict[str, Any]:
    """Returns the state of a training: tensors, numbers, text and plain containers.

    Args:
        trainee: between two steps; within an epoch the record of its first steps is part of the state.
    """
    first, *others = trainee.updates
    state: dict[str, Any] = {"epoch": trainee.epoch, "draws": DRAWS, **_of_update(first)}
    if trainee.scaler is not None:
        state["scaler"] = trainee.scaler.state_dict()
    if others:
        state["updates"] = [_of_update(update) for update in others]
    if trainee.step:
        state |= {"step": trainee.step, "record_so_far": trainee.record.state_dict(), "counts": trainee.feed.counts}
    return copy.deepcopy(state)


def take_state(trainee: Trainee, state: dict[str, Any]) -> None:
    """Gives a training the state of this or of another one of the same kind.

    Args:
        trainee: the training.
        state: of `state_of`; one of a finished training may be of an earlier release.

    Raises:
        InputError: it is of another kind, or of a release whose draws were others and not finished.
    """
    if state.get("draws", 1) != DRAWS and state.get("epoch") != trainee.settings.epochs:
        raise InputError(
            f"the state must have draws of version {DRAWS}, got {state.get('draws', 1)}: it is from another release, "
            "and the rest of the training would see other images; start the training anew"
        )
    trainee.record = EpochRecord()
    try:
        trainee.course.enter(trainee, int(state["epoch"]))
        # The first update's lies beside the rest, as it did when there was no other.
        for update, own in zip(trainee.updates, [state, *state.get("updates", ())], strict=True):
            _take_update(update, own)
        if trainee.scaler is not None:
            trainee.scaler.load_state_dict(state["scaler"])
        trainee.epoch, trainee.step = int(state["epoch"]), int(state.get("step", 0))
        if not 0 <= trainee.step < trainee.steps_per_epoch:
            raise ValueError(f"step {trainee.step} of {trainee.steps_per_epoch}")
        if trainee.step:
            trainee.record.load_state_dict(state["record_so_far"])
            trainee.feed.counts = {str(name): int(count) for name, count in state["counts"].items()}
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"the state must be that of the same network and optimiser ({error})") from error


def _of_update(update: Update) -> dict[str, Any]:
    state: dict[str, Any] = {}
    if isinstance(update.objective, nn.Module):
        state["weights"] = update.objective.state_dict()
    state["optimizer"] = update.optimizer.state_dict()
    if update.average is not None:
        state["average"] = update.average[0].network.state_dict()
    return state


def _take_update(update: Update, state: dict[str, Any]) -> None:
    if isinstance(update.objective, nn.Module):
        update.objective.load_state_dict(state["weights"])
    update.optimizer.load_state_dict(state["optimizer"])
    if update.average is not None:
        update.average[0].network.load_state_dict(state["average"])
