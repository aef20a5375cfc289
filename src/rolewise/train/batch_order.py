"""The order of an epoch's examples: shuffled, in pairs of a class, or each batch beside half of the one before."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rolewise.errors import InputError

#: What the batches of an epoch are made of (see `arranged`).
BatchKind = Literal["shuffled", "class_pairs", "repeated"]


def epoch_length(examples: int, batch_size: int, kind: BatchKind) -> int:
    """Returns the number of examples that an epoch shows, each as often as it is shown.

    Args:
        examples: to train on, N.
        batch_size: B.
        kind: of the batches.
    """
    if kind == "shuffled":
        return examples
    if kind == "class_pairs":
        return 2 * examples
    half = batch_size // 2
    return 2 * (examples // half * half or examples)


def arranged(order: Tensor, kind: BatchKind, batch_size: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the examples of an epoch's batches, one batch after the other.

    - ``shuffled``: the order as it is.
    - ``class_pairs``: the first half of a batch are the next B / 2 examples, and the second half, in the same order,
      another example of the same class for each, drawn at random; a class's only example is its own partner.
    - ``repeated``: the first half of a batch are the next B / 2 examples, and the second half those that were the first
      half of the batch before; before the first batch stands the last. What is left of N over B / 2 is left out.

    Args:
        order: int64 [N], the examples in a random order.
        kind: of the batches.
        batch_size: B, even unless the kind is ``shuffled``.
        labels: int64, the classes of all examples of the source, by the numbers in ``order``.
        generator: of the partners.

    Returns:
        int64 [M], M as of `epoch_length`.
    """
    half = batch_size // 2
    if kind == "shuffled":
        return order
    if kind == "repeated":
        parts = list(torch.split(order, half))
        parts = parts[: max(1, len(order) // half)]
        return torch.cat([one for number, part in enumerate(parts) for one in (part, parts[number - 1])])
    partners = _partners(order, labels[order.to(labels.device)].cpu(), generator)
    both = zip(torch.split(order, half), torch.split(partners, half), strict=True)
    return torch.cat([one for pair in both for one in pair])


def _partners(order: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
    """Returns another example of the class of each, int64 [N]."""
    by_class = classes.argsort(stable=True)
    counts = torch.unique_consecutive(classes[by_class], return_counts=True)[1]
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    size = counts.repeat_interleave(counts)
    drawn = torch.rand(len(order), generator=generator, dtype=torch.float64)
    # A step of 1 to n - 1 around the n examples of a class leads to another one; of one alone, to itself.
    steps = torch.where(size > 1, 1 + (drawn * (size - 1)).long(), 0)
    places = starts + (torch.arange(len(order)) - starts + steps) % size
    partners = torch.empty_like(order)
    partners[by_class] = order[by_class[places]]
    return partners


def check_classes(kind: BatchKind, labels: Tensor) -> None:
    """Raises InputError where batches are to be made of classes and the targets are no such thing.

    Args:
        kind: of the batches.
        labels: of the source.
    """
    if kind == "class_pairs" and (labels.dtype != torch.int64 or labels.ndim != 1):
        got = f"{str(labels.dtype).removeprefix('torch.')} {list(labels.shape)}"
        raise InputError(f'batches must be "shuffled" where targets are no classes, int64 [N], got {got} and "{kind}"')


def check_shuffled(kind: BatchKind) -> None:
    """Raises InputError where batches are to be made of examples that come in batches of their own."""
    if kind != "shuffled":
        rule = f'batches must be "shuffled" where examples come in batches of their own, got "{kind}"'
        raise InputError(f"{rule}; give rolewise.data.ImageData")
