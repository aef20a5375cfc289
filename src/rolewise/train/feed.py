"""The source of a training's batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from rolewise.batch import Batch


def number_of_batches(examples: int, batch_size: int) -> int:
    """Returns the number of batches of one epoch; a last one of a single example is left out, as batch norm needs two.

    Args:
        examples: to train on.
        batch_size: of all batches but the last.
    """
    full, rest = divmod(examples, batch_size)
    return max(1, full + (rest > 1))


@runtime_checkable
class Feed(Protocol):
    """Batches of an epoch, which depend on the epoch's number and on nothing that was done before.

    A training that is resumed within an epoch takes the rest of its batches, which must have the same bytes as in a
    training that was not interrupted.

    Args:
        steps: the number of batches of one epoch.
        counts: numbers for the training's record, counted along an epoch, such as of mixed examples; they are part of
            its state.
    """

    counts: dict[str, int]

    @property
    def steps(self) -> int:
        """The number of batches of one epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on; ``counts`` is counted further."""
