"""Stratified, seeded splits, and the seal on the test set."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rolewise.data.image_sources import Source
from rolewise.data.targets import strata_of
from rolewise.errors import InputError, RunError
from rolewise.seeds import check_seed


@dataclass(frozen=True)
class Splits:
    """Indices of the three parts, each ascending.

    Args:
        train: int64.
        validation: int64.
        test: int64.
    """

    train: Tensor
    validation: Tensor
    test: Tensor


def split(labels: Tensor, *, validation: int | float, test: int | float, seed: int) -> Splits:
    """Divides examples by class, so that each part has each class in the same share (see `rolewise.data.targets`).

    Args:
        labels: of a source: int64 [N], or [N, K].
        validation: number of examples, or a fraction where it is a float below 1; 0 for none.
        test: number of test examples, or a fraction below 1; 0 for none.
        seed: of the draw.

    Raises:
        InputError: the parts do not fit into N examples.
    """
    total = len(labels)
    sizes = [count_of(name, value, total) for name, value in (("validation", validation), ("test", test))]
    if sum(sizes) >= total:
        raise InputError(
            f"validation and test must leave examples to train on, got {sizes[0]} and {sizes[1]} "
            f"of {total}; make them smaller"
        )
    order = stratified_order(labels, seed)
    tested, validated, trained = order[: sizes[1]], order[sizes[1] : sum(sizes)], order[sum(sizes) :]
    return Splits(trained.sort().values, validated.sort().values, tested.sort().values)


def count_of(name: str, value: int | float, total: int) -> int:
    """Returns a number of examples that is given as such or as a share of ``total`` below 1.

    Raises:
        InputError: it is negative.
    """
    size = round(value * total) if isinstance(value, float) and value < 1 else int(value)
    if size < 0:
        raise InputError(f"{name} must be at least 0, got {value}")
    return size


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """Returns a random order [N] of which every beginning has all classes in nearly their shares."""
    check_seed("seed", seed)
    labels = strata_of(labels)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    rank = torch.empty(len(labels), dtype=torch.double)
    for label in torch.unique(shuffled):
        members = (shuffled == label).nonzero().view(-1)
        # The k-th of n members stands at (k + u) / n of the whole order.
        offset = torch.rand((), generator=generator, dtype=torch.double)
        rank[members] = (torch.arange(len(members), dtype=torch.double) + offset) / len(members)
    return order[rank.argsort(stable=True)]


def stratified_subset(indices: Tensor, labels: Tensor, num: int, seed: int) -> Tensor:
    """Returns ``num`` of ``indices``, ascending, the classes in nearly their shares.

    Args:
        indices: int64 [M] into ``labels``.
        labels: of a source: int64 [N], or [N, K].
        num: 1 to M. A smaller number gives a part of a larger number's subset.
        seed: of the draw.

    Raises:
        InputError: there are not so many.
    """
    if not 1 <= num <= len(indices):
        raise InputError(f"the number of examples must be 1 to {len(indices)}, got {num}")
    return indices[stratified_order(labels[indices], seed)[:num]].sort().values


@dataclass(frozen=True)
class Opened:
    """The test set once it is open.

    Args:
        source: the test images' source.
        indices: int64, which of them.
    """

    source: Source
    indices: Tensor


@dataclass
class SealedTest:
    """A test set that is read once.

    Args:
        source: the test images' source.
        indices: int64, which of them.
    """

    source: Source
    indices: Tensor
    opened: str | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.indices)

    def open(self, reason: str) -> Opened:
        """Breaks the seal.

        Raises:
            RunError: it was broken before; the reason of that time is named.
        """
        if self.opened is not None:
            raise RunError(f"the test set was opened already ({self.opened}); choose on the validation set instead")
        self.opened = reason
        return Opened(self.source, self.indices)
