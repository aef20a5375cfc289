"""The default experiment on two divisions of the data and on two processors: what other images or rounding change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from claims.digits import NAMES, own_against
from claims.figures import Arms, Estimate, Figures, count, listed, p, size, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import changes, firm, jointly
from rolewise.statistics import ArmRow

Keys = set[tuple[str, str]]


def keys(rows: Sequence[ArmRow]) -> Keys:
    """Returns student and arm of rows."""
    return {(row.student, row.name) for row in rows}


def named(arms: Arms, found: Keys) -> str:
    """Returns arms in words, by student and way of training."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for row in arms.compared:
        if (row.student, row.name) in found:
            groups.setdefault((row.student, row.distilled), []).append(NAMES[row.augmentation])
    return (
        "; ".join(
            f"the {student} student {'distilled' if distilled else 'without distillation'} under {listed(words)}"
            for (student, distilled), words in groups.items()
        )
        or "nothing"
    )


def moved(first: Arms, second: Arms) -> tuple[float, float]:
    """Returns the largest change of any arm's mean from one run to another, and of any difference to none."""
    means = [abs(row.score.mean - second.row(row.student, row.name).score.mean) for row in first.rows]
    pairs = [(row.difference, second.row(row.student, row.name).difference) for row in first.compared]
    return max(means), max(abs(one.mean - other.mean) for one, other in pairs if one and other)


@paragraph("splits")
def another_division(figures: Figures) -> Iterator[Told]:
    """The page of results, and the log."""
    first, second = figures.arms("digits"), figures.arms("digits_split1")
    means, differences = moved(first, second)
    yield told(
        "On another division of the same data (`--set data.split_seed=1`, other test and other training images; "
        f"`benchmarks/results/digits_split1.json`) the arms' means move by up to {size(means)} points, and differences "
        f"to none by up to {size(differences)}."
    )
    here, there = keys(firm(first)), keys(firm(second))
    yield told(
        f"Beyond the noise of all {first.family} comparisons stand here: {named(first, here)}. There: "
        f"{named(second, there)}. On both: {named(first, here & there)}."
    )
    small = [row.difference for arms in (first, second) for row in arms.compared if row.student == "small"]
    tiny = [row.difference for arms in (first, second) for row in arms.compared if row.student == "tiny"]
    up, tiny_up = (_above([one for one in found if one]) for found in (small, tiny))
    yield told(
        f"What both say is a direction: {up} of the small student's differences to none are above nothing "
        f"({changes(small)}), and {tiny_up} of the tiny one's ({changes(tiny)})."
    )
    yield told(_searched(first, second))
    yield aside("Claims that hang on one of the two are none.")


@paragraph("processors")
def another_processor(figures: Figures) -> Iterator[Told]:
    """The page of results."""
    first, second = figures.arms("digits"), figures.arms("digits_processor")
    means, differences = moved(first, second)
    yield told(
        "The same config, seeds and versions on another processor (`benchmarks/results/digits_processor.json`; an "
        "Intel Xeon with AMX, the first one's was not kept) round otherwise from the first step on, and "
        f"each training goes its own way: over {count(first.seeds)} seeds the arms' means move by up to {size(means)} "
        f"points, and differences to none by up to {size(differences)}."
    )
    here, there = keys(firm(first)), keys(firm(second))
    yield told(
        f"Beyond the noise of all {first.family} comparisons stand on both: {named(first, here & there)}. On the first "
        f"alone: {named(first, here - there)}. On the other alone: {named(second, there - here)}."
    )
    yield aside("So a seed's figure belongs to its processor, as it does to the versions of torch and numpy.")


def _above(found: Sequence[Estimate]) -> str:
    up = sum(one.mean > 0 for one in found)
    return f"all {up}" if up == len(found) else f"{up} of {len(found)}"


def _searched(first: Arms, second: Arms) -> str:
    found = [
        (one, arms)
        for arms in (first, second)
        for student in ("small", "tiny")
        for way in (True, False)
        for one in own_against(arms, student, distilled=way).values()
    ]
    apart = [one for one, _ in found if one.exceeds_noise]
    number, least = jointly([one for one, _ in found])
    above = sum(one.mean > 0 for one in apart)
    begins = (
        f"Of {len(found)} comparisons of a searched schedule with a preset, the teacher's or its own shuffled, "
        f"{some(len(apart))} exceed{'s' if len(apart) == 1 else ''} the noise of one"
    )
    sides = f" ({some(above)} in favour of the search)" if apart else ""
    return f"{begins}{sides}, and {some(number)} that of all (the least Holm's p is {p(least)})."
