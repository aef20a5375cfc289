"""Groups of parameters and frozen parts of a network, tried on the network itself."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.selection_sections import Selection
from rolewise.config.training_sections import TrainSection
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.train.parameter_groups import TERMS, chosen


def trained_form(section: StudentSection | None, network: nn.Module) -> nn.Module:
    """Returns a network as it is trained: at the bits of its section, whose quantisers can be selected too.

    Args:
        section: of a student; None for the teacher.
        network: in floating point, which is also the result where its bits have a fault of their own.
    """
    if section is None or section.quantise is None:
        return network
    try:
        return builders.at_bits(section, network)
    except (InputError, RuntimeError, NotImplementedError):
        return network


def selection_faults(network: nn.Module, train: TrainSection) -> Iterator[tuple[Steps, str]]:
    """Yields a fault for each rule that chooses nothing of a network, by path below its training.

    Rules for the learned parts of terms are left to the training, which alone has them.

    Args:
        network: in floating point.
        train: settings of its training.
    """
    for number, group in enumerate(train.groups):
        if group.role != TERMS:
            yield from selection_fault(network, group, ("groups", number))
    for number, rule in enumerate(train.freeze):
        yield from selection_fault(network, rule, ("freeze", number))


def selection_fault(network: nn.Module, rule: Selection, steps: Steps) -> Iterator[tuple[Steps, str]]:
    """Yields the fault of one rule that chooses nothing of a network.

    Args:
        network: in floating point.
        rule: of what is trained, frozen, or has settings of its own.
        steps: path of the rule.
    """
    try:
        chosen({"student": network}, rule)
    except InputError as error:
        key, _, message = str(error).partition(" ")
        yield ((*steps, key), message) if key in ("match", "role") else (steps, str(error))
