"""Checks that the methods share."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from rolewise.errors import InputError

Limit = Literal["positive", "not negative"]


def check_same_shape(student: Tensor, teacher: Tensor, what: str, dimensions: int) -> None:
    """Raises InputError unless both have the same shape of so many dimensions."""
    if student.shape != teacher.shape or student.ndim != dimensions:
        raise InputError(
            f"student and teacher must be {what} of the same shape, got {list(student.shape)} and {list(teacher.shape)}"
        )


def check_rows(student: Tensor, teacher: Tensor) -> None:
    """Raises InputError unless both hold the same number of examples."""
    if len(student) != len(teacher):
        raise InputError(f"student and teacher must hold the same examples, got {len(student)} and {len(teacher)}")


def check_limit(name: str, value: object, limit: Limit) -> None:
    """Raises InputError unless ``value`` is a finite number within a limit."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and limit == "positive"):  # type: ignore[operator]
        rule = "a positive number" if limit == "positive" else "a number of at least 0"
        raise InputError(f"{name} must be {rule}, got {value!r}")
