"""What can be said of a difference: the words that its interval and Holm's p allow, and none that are stronger.

Paragraphs name what is compared and in which order; how strongly it is said is decided here, from the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum

from claims.figures import Arms, Estimate, adjusted_together, count, interval, listed, p, points
from rolewise.statistics import ArmRow

LIMIT = 0.05


class Noise(IntEnum):
    """The largest family of comparisons whose noise a difference exceeds."""

    WITHIN = 0
    ONE = 1
    STUDENT = 2
    TABLE = 3


def noise(arms: Arms, row: ArmRow) -> Noise:
    """Returns how far the difference of an arm to none stands out."""
    if row.difference is None or not row.difference.exceeds_noise:
        return Noise.WITHIN
    if arms.together(row.student, row.name) <= LIMIT:
        return Noise.TABLE
    return Noise.STUDENT if arms.alone(row) <= LIMIT else Noise.ONE


def firm(arms: Arms, rows: Sequence[ArmRow] | None = None, least: Noise = Noise.TABLE) -> list[ArmRow]:
    """Returns the arms, of all or of these, whose differences stand out at least so far."""
    return [row for row in (arms.compared if rows is None else rows) if noise(arms, row) >= least]


def family(arms: Arms, student: str) -> int:
    """Returns how many differences of a student there are."""
    return sum(row.student == student for row in arms.compared)


def where(arms: Arms, student: str, level: Noise) -> str:
    """Returns a level in words."""
    return {
        Noise.WITHIN: "within the noise of one comparison",
        Noise.ONE: "beyond the noise of one comparison alone",
        Noise.STUDENT: f"beyond the noise of this student's {count(family(arms, student))} comparisons",
        Noise.TABLE: f"beyond the noise of all {arms.family} comparisons",
    }[level]


def placed(arms: Arms, row: ArmRow) -> str:
    """Returns an arm's difference to none with its interval, how far it stands out, and both p values."""
    assert row.difference is not None
    return (
        f"{with_interval(row.difference)}, {where(arms, row.student, noise(arms, row))} (Holm's p "
        f"{p(arms.alone(row))} among this student's {count(family(arms, row.student))}, "
        f"{p(arms.together(row.student, row.name))} among all {arms.family})"
    )


def strata(arms: Arms, rows: Sequence[ArmRow], names: Mapping[str, str]) -> str:
    """Returns how far arms of one student stand out from none, those that stand out most first, with Holm's p.

    Args:
        arms: all arms of the run.
        rows: those that are told of.
        names: words for augmentations.
    """
    clauses = []
    for level in sorted(Noise, reverse=True):
        held = [row for row in rows if noise(arms, row) is level]
        if not held:
            continue
        adjusted = [arms.together(row.student, row.name) if level is Noise.TABLE else arms.alone(row) for row in held]
        shown = f" (Holm's p {spread(adjusted, p)})" if level is not Noise.WITHIN else ""
        verb = "is" if len(held) == 1 else "are"
        clauses.append(f"{_who(rows, held, names, level)} {verb} {where(arms, held[0].student, level)}{shown}")
    return "; ".join(clauses)


def _who(rows: Sequence[ArmRow], held: Sequence[ArmRow], names: Mapping[str, str], level: Noise) -> str:
    lower = [row.difference is not None and row.difference.mean < 0 and level is not Noise.WITHIN for row in held]
    if len(held) == len(rows) > 1 and (all(lower) or not any(lower)):
        return f"all {count(len(held))}{', lower,' if all(lower) else ''}"
    return listed([names[row.augmentation] + (" (lower)" if low else "") for row, low in zip(held, lower, strict=True)])


def changes(found: Sequence[Estimate | None], digits: int = 1) -> str:
    """Returns from which difference to which several go, with signs."""
    return spread([one.mean for one in found if one is not None], lambda value: points(value, digits)) + " points"


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """Returns the least and the largest of values in words, once where both read alike."""
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def with_interval(found: Estimate, digits: int = 1) -> str:
    """Returns a difference in points with its interval."""
    return f"{points(found.mean, digits)} points ({interval(found, digits)})"


def one_by_one(found: Estimate, digits: int = 1) -> str:
    """Returns a difference with its interval, for use inside parentheses."""
    return f"{points(found.mean, digits)}, {interval(found, digits)}"


def rivals(found: Mapping[str, Estimate], digits: int = 1) -> str:
    """Returns from which of several others something can be told, each judged by itself, as a sentence's verb.

    Args:
        found: the difference to each of the others, by its name.
        digits: of the figures.
    """
    apart = {name: one for name, one in found.items() if one.exceeds_noise}
    if not apart:
        largest = max(found, key=lambda name: abs(found[name].mean))
        whom = f"any of the {count(len(found))} others" if len(found) > 1 else "it"
        return (
            f"cannot be told from {whom} (the largest difference is {points(found[largest].mean, digits)} points, "
            f"against {largest}, {interval(found[largest], digits)})"
        )
    sides = [
        f"{word} {listed([f'{name} ({one_by_one(apart[name], digits)})' for name in names])}"
        for word, names in (
            ("above", [name for name in apart if apart[name].mean > 0]),
            ("below", [name for name in apart if apart[name].mean < 0]),
        )
        if names
    ]
    rest = len(found) - len(apart)
    return f"is by the noise of one comparison {' and '.join(sides)}" + (
        f", and cannot be told from the {'other' if rest == 1 else f'other {count(rest)}'}" if rest else ""
    )


def jointly(found: Sequence[Estimate]) -> tuple[int, float]:
    """Returns how many of several differences stand when all are counted, and the least Holm's p."""
    ps = [1.0 if one is None else one for one in adjusted_together(found)[0]]
    return sum(one <= LIMIT for one in ps), min(ps)


def verb(found: Estimate, up: str, down: str, neither: str) -> str:
    """Returns the word for a difference that is judged by itself."""
    if not found.exceeds_noise:
        return neither
    return up if found.mean > 0 else down
