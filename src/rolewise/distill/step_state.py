"""State that only a step that is taken may move: of terms, of the norms inside them, and averages of students."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from rolewise.average import Average
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.guards import LearnedParts
from rolewise.distill.links import Link
from rolewise.distill.loss_term import LossTerm
from rolewise.distill.running import NOTHING, without_autocast
from rolewise.distill.term import Term
from rolewise.errors import InputError

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller

#: How many forward passes may wait for their step, and how many may wait for the first before that is remarked on:
#: gradients may be accumulated.
_MOST, _MANY = 256, 16


@dataclass(frozen=True)
class AverageOf:
    """A teacher that is the moving average of a student's weights (see `average_of`)."""

    student: str
    decay: float


def average_of(student: str = "student", decay: float = 0.999) -> AverageOf:
    r"""Returns a teacher that follows a student.

    .. math:: a \leftarrow d \, a + (1 - d) \, w

    after each step that is taken, beginning with a copy of the student.

    Args:
        student: the role of the student.
        decay: d, above 0 and below 1.

    Raises:
        InputError: the decay is out of range.
    """
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 < decay < 1:
        raise InputError(f"decay must be above 0 and below 1, got {decay!r}")
    return AverageOf(student, float(decay))


def keeps_state(distiller: Distiller) -> bool:
    """Returns whether a step that is taken moves something of a Distiller beside its weights."""
    return not distiller._state.empty


class StepState:
    """The forward passes that wait for their step, and what the step then moves.

    Args:
        terms: by name.
        links: of the terms, in the same order.
        averages: (average, student) pairs.
    """

    def __init__(
        self, terms: Mapping[str, Term], links: tuple[Link, ...], averages: list[tuple[Average, nn.Module]]
    ) -> None:
        self._moving = [
            (name, term, link)
            for (name, term), link in zip(terms.items(), links, strict=True)
            if type(term).keeps_state()
        ]
        # A function's learned maps are its own matter; terms hold to the contract.
        self._norms = [
            module
            for term in terms.values()
            if not isinstance(term, LossTerm)
            for module in term.modules()
            if isinstance(module, _NormBase) and module.running_mean is not None
        ]
        self._averages = averages
        self._waiting: list[tuple[list[tuple[Outputs, Outputs] | None], Batch, Context, list[Tensor]]] = []
        #: The names of the terms that are computed, and whose state steps therefore move; None for all.
        self.active: frozenset[str] | None = None
        self.steps = 0
        #: Forward passes, on which it depends whether the targets' values are read.
        self.passes = 0
        self.learned = LearnedParts()
        #: Whether a step moves nothing.
        self.empty = not (self._moving or self._norms or self._averages)

    @contextlib.contextmanager
    def held(self) -> Iterator[list[Tensor]]:
        """Lets norms move copies of their running statistics, which are in the list afterwards.

        The copies go on from where the last waiting forward pass left them, so that accumulated passes count in turn.
        """
        places = self._statistics()
        start = self._waiting[-1][3] if self._waiting else [kept for _, _, kept in places]
        for (norm, name, _), value in zip(places, start, strict=True):
            # Not in place: the graph of the backward pass remembers the tensors that it was run with.
            norm._buffers[name] = value.clone()
        moved: list[Tensor] = []
        try:
            yield moved
        finally:
            for norm, name, kept in places:
                moved.append(norm.get_buffer(name))
                norm._buffers[name] = kept

    def wait(
        self, outputs: Mapping[str, Outputs], batch: Batch, context: Context, moved: list[Tensor], passes: int
    ) -> None:
        """Remembers a forward pass until its step is taken.

        Args:
            outputs: of each network, by role.
            batch: the batch of the forward pass.
            context: its progress, step and epoch.
            moved: the running statistics after it.
            passes: the number of forward passes that make a step.

        Raises:
            InputError: so many wait that nobody can be taking steps.
        """
        many, most = max(_MANY, passes), max(_MOST, passes)
        if len(self._waiting) == many and self.steps == 0:
            warnings.warn(f"{self._whose()} has not moved in {many} forward passes: {_REMEDY}", stacklevel=4)
        if len(self._waiting) >= most:
            raise InputError(f"{self._whose()} must move with each step, got {most} forward passes and none: {_REMEDY}")
        self._waiting.append((self._observed(outputs, batch, context), batch, context, moved))

    @torch.no_grad()
    def _observed(
        self, outputs: Mapping[str, Outputs], batch: Batch, context: Context
    ) -> list[tuple[Outputs, Outputs] | None]:
        full = {role: output.at_least_float32().detached() for role, output in outputs.items()}
        observed: list[tuple[Outputs, Outputs] | None] = []
        # The forward pass has moved what counts of running statistics already.
        with self.held() if self._moving else NOTHING:
            for name, term, link in self._moving:
                if self.active is not None and name not in self.active:
                    observed.append(None)
                    continue
                with without_autocast(full[link.student].first.device.type):
                    observed.append(term.observe(full[link.student], link.taught(full, ()), batch, context))  # type: ignore[arg-type]
        return observed

    @torch.no_grad()
    def take(self) -> None:
        """Moves everything by the forward passes that wait: their step was taken."""
        for observed, batch, context, moved in self._waiting:
            for (_, _, statistic), value in zip(self._statistics(), moved, strict=True):
                statistic.copy_(value)
            for (_, term, _), pair in zip(self._moving, observed, strict=True):
                if pair is not None:
                    term.update(*pair, batch, context)
        self._waiting = []
        self.steps += 1
        for average, student in self._averages:
            average.attach(student)
            average.update()
            average.take_counters()

    def drop(self) -> None:
        """Forgets the forward passes that wait: their step was not taken."""
        self._waiting = []

    def _statistics(self) -> list[tuple[nn.Module, str, Tensor]]:
        return [(norm, name, kept) for norm in self._norms for name, kept in norm._buffers.items() if kept is not None]

    def _whose(self) -> str:
        names = [name for name, _, _ in self._moving]
        return f'the state of "{names[0]}"' if names else "an average over steps"


_REMEDY = "call distiller.after_step() after each optimizer.step()"
