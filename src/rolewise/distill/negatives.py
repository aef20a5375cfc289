"""Negatives: for each example of a batch, rows of the source with other examples."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.errors import InputError


class Negatives:
    """Draws negatives by index, on the CPU.

    Args:
        examples: rows of the source.
        labels: int64 [rows], the class of each, -1 for a row that is not trained on and never drawn. With None all
            rows are trained on.
        other_classes: whether an example's negatives are of other classes than its own.

    Raises:
        InputError: negatives are to be of other classes, and there are none.
    """

    def __init__(self, examples: int, labels: Tensor | None = None, *, other_classes: bool = False) -> None:
        labels = torch.zeros(examples, dtype=torch.int64) if labels is None else labels.cpu()
        self._labels = labels if other_classes else labels.clamp(max=0)
        # The rows class by class: those of other classes are what is left of this without one piece.
        self._order = self._labels.argsort(stable=True)[int((labels < 0).sum()) :]
        #: How many examples are trained on.
        self.number = len(self._order)
        #: The place and the number of each class's rows in that order; None where classes do not matter.
        self._pieces: dict[int, tuple[int, int]] | None = None
        if not other_classes:
            return
        classes, counts = torch.unique_consecutive(self._labels[self._order], return_counts=True)
        if len(classes) < 2:
            raise InputError(
                f"labels must be of at least two classes for negatives of others, got {len(classes)}; where there are "
                'no classes, write negatives_from: all in a config, or negatives_from="all" in Python'
            )
        starts = (counts.cumsum(0) - counts).tolist()
        pieces = zip(starts, counts.tolist(), strict=True)
        self._pieces = dict(zip(classes.tolist(), pieces, strict=True))

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
            InputError: an index is no row of the source, or of one that is not trained on.
        """
        rows = indices.cpu()
        low, high = (int(value) for value in rows.aminmax())
        if low < 0 or high >= len(self._labels):
            rule = f"must be from 0 to {len(self._labels) - 1}, the examples of the source"
            raise InputError(f"indices {rule}, got {low if low < 0 else high}")
        classes = self._labels[rows].tolist()
        if -1 in classes:
            wrong = int(rows[classes.index(-1)])
            raise InputError(f"indices must be of examples that labels gives a class, got {wrong}, whose label is -1")
        if self._pieces is None:
            return self._order[torch.randint(self.number, (len(rows), number), generator=generator)]
        return torch.stack([self._others(*self._pieces[label], number, generator) for label in classes])

    def _others(self, start: int, count: int, number: int, generator: torch.Generator) -> Tensor:
        others = self.number - count
        if number <= others:
            places = torch.randperm(others, generator=generator)[:number]
        else:
            places = torch.randint(others, (number,), generator=generator)
        return self._order[torch.where(places < start, places, places + count)]
