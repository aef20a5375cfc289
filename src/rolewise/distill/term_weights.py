"""Weights of loss terms, made of what a method's setting holds."""

from __future__ import annotations

from typing import Any

from rolewise.distill.checks import check_limit
from rolewise.errors import InputError, near
from rolewise.moving_weight import Weight

__all__ = ["Weight", "weight_of"]


def weight_of(value: Any) -> Weight:
    """Makes a weight of a number, a `Weight`, or a mapping with ``start``, ``end``, ``shape``, ``at`` and
    ``window``.

    Raises:
        InputError: it is none of these, or a field is wrong.
    """
    if isinstance(value, Weight):
        return value
    if isinstance(value, dict):
        fields = ("start", "end", "shape", "at", "window")
        for key in value:
            if key not in fields:
                hint = near(str(key), fields)
                rule = f'no such setting of "weight"{hint}'
                raise InputError(f"no such setting of weight: {key!r}{hint}", path=("weight", str(key)), rule=rule)
        if "start" not in value:
            raise InputError.at(("weight",), "must have a start, got none; add it")
        try:
            return Weight(**value)
        except InputError as error:
            raise InputError.at(("weight", *error.path), error.rule) from error
    check_limit("weight", value, "not negative")
    return Weight(value, value)
