"""Counted things in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, several: str | None = None) -> str:
    """Returns a number with its noun, in the singular for 1: ``1 seed``, ``2 seeds``, ``1,200 images``.

    Args:
        number: how many.
        noun: in the singular.
        several: its plural, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
