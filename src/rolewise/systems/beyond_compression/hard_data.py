"""Training sets that are harder than they should be: wrong labels, uneven classes, classes that are missing."""

from __future__ import annotations

import torch
from torch import Tensor

Examples = tuple[Tensor, Tensor]


def with_wrong_labels(examples: Examples, share: float, classes: int, draws: torch.Generator) -> Examples:
    """Replaces some labels by other classes, each as likely as the others (symmetric noise).

    Args:
        examples: inputs [N, ...] and labels int64 [N].
        share: of the labels, rounded to a whole number of them.
        classes: K.
        draws: generator.
    """
    inputs, labels = examples
    wrong = torch.randperm(len(labels), generator=draws)[: round(share * len(labels))]
    moved = torch.randint(1, classes, (len(wrong),), generator=draws)
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] + moved) % classes
    return inputs, noisy


def with_uneven_classes(examples: Examples, least: float, classes: int) -> Examples:
    r"""Leaves out examples, so that class k keeps the share :math:`\gamma^{k / (K - 1)}` of its own, one at least.

    Args:
        examples: inputs [N, ...] and labels int64 [N].
        least: gamma, the share that the last class keeps.
        classes: K, at least 2.
    """
    inputs, labels = examples
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        rows = (labels == label).nonzero()[:, 0]
        kept[rows[: max(1, round(len(rows) * least ** (label / (classes - 1))))]] = True
    return inputs[kept], labels[kept]


def of_classes(examples: Examples, first: int, last: int) -> Examples:
    """Returns the examples of the classes from ``first`` to ``last``, which keep their numbers.

    Args:
        examples: inputs [N, ...] and labels int64 [N].
        first: class.
        last: class.
    """
    inputs, labels = examples
    kept = (labels >= first) & (labels <= last)
    return inputs[kept], labels[kept]
