"""What can be said of a difference: the words that its interval and Holm's p allow, and none that are stronger.

Paragraphs name what is compared and in which order; how strongly it is said is decided here, from the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from claims.figures import Arms, Estimate, adjusted_together, count, interval, listed, p, points
from rolewise.statistics import ArmRow
from rolewise.statistics.effects import Contrast
from rolewise.statistics.noise_levels import LIMIT, Noise, noise_level
from rolewise.statistics.questions import Answer


def noise(arms: Arms, row: ArmRow) -> Noise:
    """Returns how far the difference of an arm to none stands out."""
    if row.difference is None:
        return Noise.WITHIN
    return noise_level(row.difference, arms.alone(row), arms.together(row.student, row.name))


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


def standing(arms: Arms, names: Callable[[ArmRow], str]) -> str:
    """Returns the sentence on which differences of a table stand out from the noise of all of them."""
    rows = firm(arms)
    least = min(arms.together(row.student, row.name) for row in arms.compared)
    if not rows:
        return (
            f"None of all {arms.family} differences is beyond the noise of all together (the least Holm's p is "
            f"{p(least)})."
        )
    shown = [
        f"{names(row)} ({one_by_one(row.difference)}; Holm's p {p(arms.together(row.student, row.name))})"
        for row in rows
        if row.difference is not None
    ]
    return (
        f"Of all {arms.family} differences {count(len(rows))} {'is' if len(rows) == 1 else 'are'} beyond the noise of "
        f"all together: {'; '.join(shown)}."
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


def by_itself(found: Estimate) -> str:
    """Returns a difference with its interval, and whether it is beyond the noise of one comparison."""
    return f"{with_interval(found)}, {'beyond' if found.exceeds_noise else 'within'} the noise of one comparison"


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


#: Words before the names of what a difference is higher, lower, or neither, at.
UNDER = ("higher under", "lower under", "not told under")
FOR = ("higher for", "lower for", "not told for")
THAN = ("above", "below", "not told from")


def grouped(found: Mapping[str, Estimate], words: tuple[str, str, str] = UNDER) -> str:
    """Returns differences by their direction, each judged by itself, with their range, or the interval of a single one.

    Args:
        found: differences by what they are under, or of.
        words: for higher, lower and neither.
    """
    groups: list[list[str]] = [[], [], []]
    for name, one in found.items():
        groups[2 if not one.exceeds_noise else 0 if one.mean > 0 else 1].append(name)
    clauses = []
    for word, names in zip(words, groups, strict=True):
        if names:
            held = [found[name] for name in names]
            shown = with_interval(held[0]).replace(" (", ", ").rstrip(")") if len(names) == 1 else changes(held)
            clauses.append(f"{word} {listed(names)} ({shown})")
    return listed(clauses)


def weighed(found: Estimate | None, *, stands: bool, family: str) -> str:
    """Returns a difference with its interval and how far it stands out.

    Args:
        found: the difference.
        stands: whether it does when the whole family is counted.
        family: the comparisons that ``stands`` is for, in words.
    """
    assert found is not None
    level = (
        "within the noise of one comparison"
        if not found.exceeds_noise
        else f"beyond the noise of {family}"
        if stands
        else "beyond the noise of one comparison alone"
    )
    return f"{with_interval(found)}, {level}"


def asked(answer: Answer) -> str:
    """Returns the difference that a study's question is about, and whether it stands among all questions."""
    stands = answer.verdict != "Cannot be told"
    return weighed(answer.difference, stands=stands, family=_all(answer.family, "questions"))


def main_effect(contrast: Contrast) -> str:
    """Returns a main effect, and whether it stands among all contrasts of its metric and part."""
    return weighed(contrast.difference, stands=contrast.supported, family=_all(contrast.family, "contrasts"))


def _all(number: int, what: str) -> str:
    return f"both {what}" if number == 2 else f"all {count(number)} {what}"


def confirms(answer: Answer) -> str:
    """Returns what an answer is to the claim that its question states, as a verb."""
    return {"Yes": "confirms it", "No": "refutes it", "Cannot be told": "neither confirms nor refutes it"}[
        answer.verdict
    ]


def jointly(found: Sequence[Estimate]) -> tuple[int, float]:
    """Returns how many of several differences stand when all are counted, and the least Holm's p."""
    ps = [1.0 if one is None else one for one in adjusted_together(found)[0]]
    return sum(one <= LIMIT for one in ps), min(ps)
