"""A term: a loss between the outputs of two networks, with learned parts and state where it has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs, at_least_float32


@dataclass(frozen=True)
class Shapes:
    """What a term may read off before training starts.

    Args:
        student: the shapes of the student's features, [B, ...], in the order of the taps.
        teacher: likewise of the teacher's.
        classes: K, or None where the networks have no logits.
        examples: N, the number of examples in the source, for memories; None where it was not given.
    """

    student: Sequence[torch.Size] = ()
    teacher: Sequence[torch.Size] = ()
    classes: int | None = None
    examples: int | None = None


class Term(nn.Module):
    """The base of a method that has learned parts, state, or reads more than one pair of tensors.

    A subclass is registered by `rolewise.distill.method`; its settings are the keyword arguments of its ``__init__``,
    after `Shapes`. Its parameters are trained beside the student. Its buffers are its state: they travel in the state
    dict, and only `update` moves them. Norms inside it that keep running statistics are held to the same rule by the
    Distiller: what a forward pass makes of them counts once the step is taken.
    """

    #: Whether it reads ``batch.indices``, the examples' rows in their source.
    needs_indices: ClassVar[bool] = False
    #: The paths (student's, teacher's) that it reads, set by the Distiller.
    pairs: tuple[tuple[str, str], ...] = ()

    def forward(
        self, student: Outputs, teacher: Outputs, batch: Batch, context: Context
    ) -> Tensor | Mapping[str, Tensor]:
        """Returns the loss [B], unreduced, or several by name; it moves nothing.

        Args:
            student: outputs of the network that learns; logits in at least single precision.
            teacher: outputs of the network that teaches, detached.
            batch: which both were run on.
            context: where the training stands; its generator is the only source of draws.
        """
        raise NotImplementedError

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Moves the state after a step that was taken; without gradients.

        Args:
            student: outputs in the step's forward pass, detached.
            teacher: likewise.
            batch: of that step.
            context: of that step.
        """

    def paired(self, student: Outputs, teacher: Outputs) -> list[tuple[Tensor, Tensor]]:
        """Returns the features (student's, teacher's) of each pair of taps, in at least single precision."""
        return [
            (at_least_float32(student.features[path]), at_least_float32(teacher.features[other]))
            for path, other in self.pairs
        ]

    @classmethod
    def keeps_state(cls) -> bool:
        """Returns whether steps move something of it."""
        return cls.update is not Term.update
