"""Weights of loss terms: constant, or moving over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from rolewise.distill.checks import check_limit
from rolewise.errors import InputError, near

Shape = Literal["constant", "linear", "cosine", "step"]


@dataclass(frozen=True)
class Weight:
    """A weight over training.

    Args:
        start: the weight at the beginning, at least 0.
        end: the weight at the end, at least 0.
        shape: ``linear``, ``cosine``, ``constant`` (the start), or ``step`` (start, then end from ``at`` on).
        at: the fraction of training at which a step happens, or until which the others move.

    Raises:
        InputError: a number is negative or not finite, ``at`` is outside (0, 1], or the shape is unknown.
    """

    start: float
    end: float
    shape: Shape = "linear"
    at: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("weight", self.start), ("weight.end", self.end)):
            check_limit(name, value, "not negative")
        if self.shape not in ("constant", "linear", "cosine", "step"):
            raise InputError(f'weight.shape must be "constant", "linear", "cosine" or "step", got {self.shape!r}')
        if not isinstance(self.at, (int, float)) or not 0 < self.at <= 1:
            raise InputError(f"weight.at must be above 0 and at most 1, got {self.at!r}")

    def __call__(self, progress: float) -> float:
        """Returns the weight at a fraction of training in [0, 1]."""
        if self.shape == "constant":
            return self.start
        if self.shape == "step":
            return self.end if progress >= self.at else self.start
        share = min(1.0, progress / self.at)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + (self.end - self.start) * share


def weight_of(value: Any) -> Weight:
    """Makes a weight of a number, a `Weight`, or a mapping with ``start``, ``end``, ``shape`` and ``at``.

    Raises:
        InputError: it is none of these, or a field is wrong.
    """
    if isinstance(value, Weight):
        return value
    if isinstance(value, dict):
        fields = ("start", "end", "shape", "at")
        for key in value:
            if key not in fields:
                raise InputError(f"no such setting of weight: {key!r}{near(str(key), fields)}")
        if "start" not in value:
            raise InputError("weight must have a start, got none")
        return Weight(**{"end": value["start"], **value})
    return Weight(value, value)
