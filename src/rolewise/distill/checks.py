"""Checks that the methods share."""

from __future__ import annotations

import math

from torch import Tensor

from rolewise.errors import InputError


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


def check_positive(name: str, value: float) -> None:
    """Raises InputError unless ``value`` is positive and finite."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be positive, got {value}")
