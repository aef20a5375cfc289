"""What an update of a training step minimises; a Distiller is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import nn

from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, Pairs, Terms


class Objective(Protocol):
    """A loss of some networks: a Distiller's, the adversarial one of a generator."""

    def __call__(self, batch: Batch, context: Context) -> Terms:
        """Computes the terms of one batch; their ``total`` is minimised."""

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives what an optimiser must move."""

    def after_step(self) -> None:
        """Moves the state of terms, such as memories; called once for each step that was taken."""


class Distillation:
    """A Distiller as an objective: the one place where a batch is given to it.

    Args:
        distiller: students, teachers and methods.
    """

    def __init__(self, distiller: Distiller) -> None:
        self.distiller = distiller

    def __call__(self, batch: Batch, context: Context) -> Terms:
        """Computes the terms of one batch."""
        mixture = batch.mixture
        pairs = None
        if mixture is not None:
            pairs = Pairs(mixture.sources, mixture.partners, mixture.ratios, mixture.labels, mixture.targets)
        terms: Terms = self.distiller(
            batch.inputs,
            batch.targets,
            teacher_images=batch.views.get("teacher"),
            progress=context.progress,
            pairs=pairs,
        )
        return terms

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the parameters of students and of learned parts of terms."""
        return self.distiller.trainable_parameters()

    def after_step(self) -> None:
        """Moves the state of terms."""
