"""Moments and lengths of a training: as fractions of it, or counted in epochs or steps."""

from __future__ import annotations

import re
from typing import TypeGuard

from rolewise.errors import InputError

#: A fraction of training, or a text such as ``5 epochs`` or ``500 steps``.
Span = float | str

_COUNTED = re.compile(r"(\d+(?:\.\d+)?)\s*(epochs?|steps?)")
RULE = 'a fraction of training from 0 to 1, or a text such as "5 epochs" or "500 steps"'


def is_span(value: object) -> TypeGuard[Span]:
    """Returns whether a value is a fraction in [0, 1], or a count of epochs or of whole steps."""
    if isinstance(value, str):
        found = _COUNTED.fullmatch(value.strip())
        return found is not None and (found[2].startswith("epoch") or "." not in found[1])
    return not isinstance(value, bool) and isinstance(value, (int, float)) and 0 <= value <= 1


def check_span(name: str, value: object) -> None:
    """Raises InputError unless a value is a span.

    Args:
        name: its name in the error.
        value: the value.
    """
    if not is_span(value):
        raise InputError(f"{name} must be {RULE}, got {value!r}")


def fraction_of(span: Span, epochs: int, steps: int) -> float:
    """Returns a span as a fraction of a training; above 1 where the training is shorter.

    Args:
        span: a fraction, or a count.
        epochs: of the training.
        steps: optimiser steps of one epoch.

    Raises:
        InputError: it is no span.
    """
    check_span("a moment of training", span)
    if not isinstance(span, str):
        return span
    found = _COUNTED.fullmatch(span.strip())
    assert found is not None
    # A whole number of epochs is met exactly at the first step of one.
    return float(found[1]) / epochs if found[2].startswith("epoch") else int(found[1]) / (epochs * steps)
