"""Groups of parameters and frozen parts of a network, tried on the network itself."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.training_sections import TrainSection
from rolewise.errors import InputError
from rolewise.train import FreezeSettings, GroupSettings
from rolewise.train.parameter_groups import TERMS, chosen


def selection_faults(network: nn.Module, train: TrainSection) -> Iterator[tuple[Steps, str]]:
    """Yields a fault for each rule that chooses nothing of a network, by path below its training.

    Rules for the learned parts of terms are left to the training, which alone has them.

    Args:
        network: in floating point.
        train: settings of its training.
    """
    for number, group in enumerate(train.groups):
        if group.role != TERMS:
            yield from _fault(network, group, ("groups", number))
    for number, rule in enumerate(train.freeze):
        yield from _fault(network, rule, ("freeze", number))


def _fault(network: nn.Module, rule: GroupSettings | FreezeSettings, steps: Steps) -> Iterator[tuple[Steps, str]]:
    try:
        chosen({"student": network}, rule)
    except InputError as error:
        key, _, message = str(error).partition(" ")
        yield ((*steps, key), message) if key in ("match", "role") else (steps, str(error))
