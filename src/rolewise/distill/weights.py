"""Weights of loss terms: constant, or moving over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rolewise.distill.checks import check_choice, check_limit
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
        for name, value in (("weight.start", self.start), ("weight.end", self.end)):
            check_limit(name, value, "not negative")
        check_choice("weight.shape", self.shape, get_args(Shape))
        if isinstance(self.at, bool) or not isinstance(self.at, (int, float)) or not 0 < self.at <= 1:
            raise InputError.at(("weight", "at"), f"must be above 0 and at most 1, got {self.at!r}")

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
                hint = near(str(key), fields)
                rule = f'no such setting of "weight"{hint}'
                raise InputError(f"no such setting of weight: {key!r}{hint}", path=("weight", str(key)), rule=rule)
        if "start" not in value:
            raise InputError.at(("weight",), "must have a start, got none; add it")
        return Weight(**{"end": value["start"], **value})
    check_limit("weight", value, "not negative")
    return Weight(value, value)
