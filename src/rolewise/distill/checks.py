"""Checks that the methods share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from rolewise.errors import InputError, near

Limit = Literal["positive", "not negative", "count"]


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
    """Raises InputError unless ``value`` is a finite number within a limit; a ``count`` is whole and at least 1."""
    if limit == "count":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and limit == "positive"):  # type: ignore[operator]
        rule = "a positive number" if limit == "positive" else "a number of at least 0"
        raise InputError(f"{name} must be {rule}, got {value!r}")


def check_switch(name: str, value: object) -> None:
    """Raises InputError unless ``value`` is true or false: in YAML ``yes`` is text, and would count as true."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raises InputError unless ``value`` is one of some names."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}{near(str(value), choices)}")


def check_stages(name: str, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
    """Raises InputError unless both have as many stages, at least two, and hold the same examples."""
    if len(student) != len(teacher) or len(student) < 2:
        raise InputError(
            f'"{name}" must read at least 2 taps of each network, got {len(student)} and {len(teacher)}; '
            "give student_taps and teacher_taps"
        )
    for ours, theirs in zip(student, teacher, strict=True):
        check_rows(ours, theirs)
