"""Negatives: for each example of a batch, rows of the source that it is told from."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.errors import InputError


class Negatives:
    """Draws negatives by index, on the CPU.

    Args:
        examples: N, the number of examples in the source.
        labels: int64 [N], the classes of all; negatives are then of other classes. With None they are any examples.

    Raises:
        InputError: all labels are of one class.
    """

    def __init__(self, examples: int, labels: Tensor | None = None) -> None:
        self._examples = examples
        self._class: Tensor | None = None
        if labels is None:
            return
        found, self._class, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
        if len(found) < 2:
            raise InputError("labels must be of at least two classes for negatives of other classes, got one")
        # The rows class by class: those of other classes are what is left of this without one piece.
        self._order = self._class.argsort(stable=True)
        self._counts: list[int] = counts.tolist()
        self._starts: list[int] = (counts.cumsum(0) - counts).tolist()

    def draw(self, indices: Tensor, number: int, generator: torch.Generator) -> Tensor:
        """Returns negatives of some examples.

        Args:
            indices: int64 [B], the examples' rows.
            number: M, how many for each.
            generator: of the draws, on the CPU.

        Returns:
            int64 [B, M], on the CPU: of other classes without repetition where there are M of those, with repetition
            where there are fewer; of all examples with repetition, the example's own row among them.

        Raises:
            InputError: an index is no row of the source.
        """
        rows = indices.cpu()
        low, high = (int(value) for value in rows.aminmax())
        if low < 0 or high >= self._examples:
            wrong = low if low < 0 else high
            raise InputError(f"indices must be from 0 to {self._examples - 1}, the examples of the source, got {wrong}")
        if self._class is None:
            return torch.randint(self._examples, (len(rows), number), generator=generator)
        return torch.stack([self._others(kind, number, generator) for kind in self._class[rows].tolist()])

    def _others(self, kind: int, number: int, generator: torch.Generator) -> Tensor:
        start, count = self._starts[kind], self._counts[kind]
        others = self._examples - count
        if number <= others:
            places = torch.randperm(others, generator=generator)[:number]
        else:
            places = torch.randint(others, (number,), generator=generator)
        return self._order[torch.where(places < start, places, places + count)]
