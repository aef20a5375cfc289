"""Levels of noise: the largest family of comparisons whose noise a difference exceeds, and the words for it."""

from __future__ import annotations

from enum import IntEnum

from rolewise.statistics.estimates import Estimate
from rolewise.words import counted

#: The largest adjusted p value of a difference that counts as beyond the noise.
LIMIT = 0.05


class Noise(IntEnum):
    """The largest family of comparisons whose noise a difference exceeds."""

    WITHIN = 0
    ONE = 1
    STUDENT = 2
    TABLE = 3


def noise_level(difference: Estimate | None, alone: float | None, together: float | None) -> Noise:
    """Returns the level of noise that a difference exceeds.

    Args:
        difference: with its interval; None where nothing was compared.
        alone: its p value adjusted for the comparisons of its student; None where there is none.
        together: its p value adjusted for all comparisons; None likewise.
    """
    if difference is None or not difference.exceeds_noise:
        return Noise.WITHIN
    if together is not None and together <= LIMIT:
        return Noise.TABLE
    return Noise.STUDENT if alone is not None and alone <= LIMIT else Noise.ONE


def noise_words(level: Noise, family: tuple[int, int]) -> str:
    """Returns a level in words: ``beyond the noise of all 12 comparisons``.

    Args:
        level: of the difference.
        family: the number of comparisons of its student, and of all.
    """
    if max(family) < 2 and level is not Noise.WITHIN:
        return "beyond the noise"
    return {
        Noise.WITHIN: "within the noise" if max(family) < 2 else "within the noise of one comparison",
        Noise.ONE: "beyond the noise of one comparison alone",
        Noise.STUDENT: f"beyond the noise of this student's {counted(family[0], 'comparison')}",
        Noise.TABLE: "beyond the noise of both comparisons"
        if family[1] == 2
        else f"beyond the noise of all {counted(family[1], 'comparison')}",
    }[level]
