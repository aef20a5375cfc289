"""Searched numbers, such as the learning rate, over fractions of training."""

from __future__ import annotations

from collections.abc import Sequence

#: (start fraction, values by name), in the order of the fractions.
Scalars = Sequence[tuple[float, dict[str, float]]]


def scalars_at(scalars: Scalars, progress: float) -> dict[str, float]:
    """Returns the values of the last segment that has begun; none where none has.

    Args:
        scalars: the segments.
        progress: fraction of training done, in [0, 1].
    """
    current: dict[str, float] = {}
    for start, values in scalars:
        if start <= progress + 1e-9:
            current = values
    return current
