"""Counted things, durations and values in sentences."""

from __future__ import annotations

from typing import Any


def counted(number: int, noun: str, several: str | None = None) -> str:
    """Returns a number with its noun, in the singular for 1: ``1 seed``, ``2 seeds``, ``1,200 images``.

    Args:
        number: a whole number of at least 0.
        noun: the singular of its name.
        several: its plural, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def duration(seconds: float) -> str:
    """Returns a duration to read: ``about 2 h 5 min``.

    Args:
        seconds: at least 0.
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60} min"


def quoted_value(value: Any) -> str:
    """Returns a value as a person would write it, shortened where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
