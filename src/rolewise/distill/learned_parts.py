"""Whether the learned parts of methods are trained, which an optimiser of the student alone does not do."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller

#: After so many forward passes it is looked at what has moved, and after so many steps of the student it is told.
_PASSES, _STEPS = 20, 3


class LearnedParts:
    """Watches a training's first steps: where the student moves and no learned part does, there is one warning."""

    def __init__(self) -> None:
        self._passes = 0
        #: At the first pass: how often what is trained had been written, the same of learned parts, and their values.
        self._first: tuple[list[int], list[int], list[Tensor]] | None = None
        self._done = False

    def look(self, distiller: Distiller) -> None:
        """Takes note of a forward pass from which the student learns.

        Nothing is told of learned parts without a gradient, of which it is not known who trains them, nor where torch
        does not count the student's steps: fused optimisers, `torch.func` and sharded training.
        """
        if self._done or distiller.active is not None or torch.compiler.is_compiling():
            return
        self._passes += 1
        if self._passes > 1 and self._passes % _PASSES:
            return
        terms = [term for term in distiller.listed_terms() if any(one.requires_grad for one in term.parameters())]
        learned = [one for term in terms for one in term.parameters() if one.requires_grad]
        written, of_learned = ([one._version for one in part] for part in (distiller.trainable_parameters(), learned))
        if self._first is None or (len(written), len(learned)) != (len(self._first[0]), len(self._first[1])):
            self._first, self._done = (written, of_learned, [one.detach().clone() for one in learned]), not learned
        elif max(now - then for now, then in zip(written, self._first[0], strict=True)) >= _STEPS:
            # A fused optimiser moves without being counted, one of rate 0 is counted and moves nothing.
            still = of_learned == self._first[1] and all(map(torch.equal, learned, self._first[2]))
            self._first, self._done = None, True
            if still and all(one.grad is not None for one in learned):
                named = ", ".join(f'"{term.name}"' for term in terms)
                warnings.warn(
                    f"the student has moved and the learned parts of {named} have not: give the optimiser "
                    "distiller.trainable_parameters() instead of student.parameters()",
                    stacklevel=7,
                )
