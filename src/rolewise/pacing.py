"""Work that is repeated while other work goes on, kept to a small part of the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Of the time, at the most.
_PART = 0.01


class Pace:
    """The pace of repeated work, such that it takes a hundredth of the time at most.

    Args:
        seconds: between two times, at least.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._least, self._next = seconds, 0.0

    @property
    def due(self) -> bool:
        """Whether to do the work now."""
        return time.monotonic() >= self._next

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Measures the work that the block is, from which it follows when it is due again."""
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._next = ended + max(self._least, (ended - began) / _PART)
