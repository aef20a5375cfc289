"""The objective of an update of a training step; a Distiller is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import nn

from rolewise.batch import Batch, Context
from rolewise.distill import Terms


class Objective(Protocol):
    """A loss of some networks: a `rolewise.Distiller`, or the adversarial loss of a generator.

    One that is a module has its weights and buffers in the state of a training.
    """

    def __call__(self, batch: Batch, /, *, context: Context) -> Terms:
        """Computes the terms of one batch; their ``total`` is minimised."""

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the parameters that an optimiser must move."""

    def after_step(self, *, taken: bool = True) -> None:
        """Moves the state of terms, such as memories, where the step was taken, and forgets the batch where not."""
