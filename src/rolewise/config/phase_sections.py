"""The phases of a student's training: what each learns from, what it moves, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from rolewise.config.section import Name, NotNegative, Section, UpToThousand
from rolewise.config.selection_sections import FreezeSettings, Selection
from rolewise.config.training_sections import RateSchedule
from rolewise.errors import InputError


def _length(value: int | float) -> int | float:
    if value < 1 if isinstance(value, int) else not 0 < value < 1:
        raise ValueError(f"must be a number of epochs from 1 up or a fraction between 0 and 1, got {value!r}")
    if value > 10**6:
        raise ValueError(f"must be at most 1,000,000 epochs, got {value!r}")
    return value


#: So many epochs, or such a fraction of the training's.
PhaseLength = Annotated[
    int | float,
    AfterValidator(_length),
    Field(description="number of epochs from 1 up, or a fraction of them between 0 and 1"),
]


class Phase(Section):
    """A phase of a student's training under distillation; the phases follow one another within the training's epochs.

    A phase has an optimiser of its own, which begins anew, and moments of the learning rate and of weights are
    fractions of the phase. Learned parts of methods, which are the same where their names are, go on from phase to
    phase; so do augmentation, mixing and a moving average of the weights, which run over the whole training.

    Args:
        name: name in records and reports; None for its number.
        epochs: length; None, in one phase at most, for the epochs that the others leave.
        methods: distillation methods of the phase, each a mapping of its ``name``, its settings and its ``weight``, or
            in Python a configured method; None for those of the distillation.
        label_weight: weight of the loss on labels; None for that of the distillation.
        train: the parts that are trained, all others being frozen; none listed for all parts.
        freeze: parts that are not trained, beside those of the training.
        learning_rate: learning rate at the schedule's highest point; None for the optimiser's.
        schedule: course of the learning rate over the phase; None for the training's.
        stop_at: tap of the student, read by the phase's methods, behind which its pass ends: nothing is computed after
            the last tap that they read. It needs a label_weight of 0. None for whole passes.
    """

    name: Name | None = None
    epochs: PhaseLength | None = None
    methods: Annotated[tuple[Any, ...], Field(description="list: mapping: any value")] | None = None
    label_weight: NotNegative | None = None
    train: tuple[Selection, ...] = ()
    freeze: tuple[FreezeSettings, ...] = ()
    learning_rate: UpToThousand | None = None
    schedule: RateSchedule | None = None
    stop_at: Annotated[str, Field(min_length=1)] | None = None

    def title(self, number: int) -> str:
        """Returns its name, or its number, from 0, as ``phase 1``."""
        return self.name or f"phase {number + 1}"


def phase_ends(phases: Sequence[Phase], epochs: int) -> tuple[int, ...]:
    """Returns the epoch before which each phase ends; none where there are no phases.

    Args:
        phases: in their order.
        epochs: of the training.

    Raises:
        InputError: the phases do not fill the training, or one is left without an epoch; with its path below them.
    """
    open_ended = [number for number, phase in enumerate(phases) if phase.epochs is None]
    if len(open_ended) > 1:
        rule = f"must be given in all phases but one, got none in {len(open_ended)}; add them"
        raise InputError.at((open_ended[1], "epochs"), rule)
    lengths = [
        0.0 if one.epochs is None else one.epochs if isinstance(one.epochs, int) else one.epochs * epochs
        for one in phases
    ]
    rest = epochs - sum(lengths)
    if open_ended:
        lengths[open_ended[0]] = rest
    elif phases and abs(rest) > 1e-6 * epochs:
        rule = f"must add up to the {epochs} epochs of the training, got {sum(lengths):g}; leave one out, for the rest"
        raise InputError.at((len(phases) - 1, "epochs"), rule)
    ends: list[int] = []
    at = 0.0
    for number, length in enumerate(lengths):
        at += length
        ends.append(round(at))
        if ends[-1] <= (ends[-2] if number else 0):
            rule = f"must leave an epoch to every phase, got {length:g} of the training's {epochs} for one"
            raise InputError.at((number, "epochs"), rule)
    return tuple(ends)
