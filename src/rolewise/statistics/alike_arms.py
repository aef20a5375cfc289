"""Arms of a run that end alike, to the last digit, where they should not: what a table of means does not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rolewise.statistics.comparison import ArmRow

#: Arms of a student that must agree for it to be named.
_SEVERAL = 3


def alike_arms(rows: Sequence[ArmRow]) -> Iterator[str]:
    """Gives the cautions on arms that end alike.

    Args:
        rows: the arms of a run.
    """
    students = list(dict.fromkeys(row.student for row in rows))
    same = ", ".join(student for student in students if _orders_are_alike(rows, student))
    if same:
        yield (
            f"The control own_shuffled is own itself for {same}, the same at every seed: a searched schedule of one "
            "segment has no other order. Both are counted among the comparisons all the same."
        )
    if nothing := ", ".join(student for student in students if _found_nothing(rows, student)):
        yield (
            f"Its own searched schedule is none itself for {nothing}, the same at every seed: the search ended with a "
            "member that leaves images as they are. More members or intervals see more of its space."
        )
    for student in students:
        mine = [dict(zip(row.seeds, row.values, strict=True)) for row in rows if row.student == student]
        seeds = [seed for seed in mine[0] if all(seed in held for held in mine)] if len(mine) >= _SEVERAL else []
        alike = sum(len({held[seed] for held in mine}) == 1 for seed in seeds)
        if alike:
            yield (
                f"All arms of {student} end alike, to the last digit, in {alike} of {len(seeds)} seeds: see whether "
                "it gives the same answer to everything there."
            )


def _orders_are_alike(rows: Sequence[ArmRow], student: str) -> bool:
    """Returns whether each arm of a shuffled schedule has the values of the schedule that was searched."""
    values = {row.name: (row.seeds, row.values) for row in rows if row.student == student}
    shuffled = [row for row in rows if row.student == student and row.augmentation == "own_shuffled"]
    return bool(shuffled) and all(values[row.name] == values.get(row.name.replace("_shuffled", "")) for row in shuffled)


def _found_nothing(rows: Sequence[ArmRow], student: str) -> bool:
    """Returns whether each arm of the schedule that was searched has the values of the arm without augmentation."""
    mine = [row for row in rows if row.student == student]
    own = [row for row in mine if row.augmentation == "own"]
    plain = {(row.distilled, row.seeds, row.values) for row in mine if row.augmentation == "none"}
    # Where all arms end alike, that is what is named.
    several = len({row.values for row in mine}) > 1
    return bool(own) and several and all((row.distilled, row.seeds, row.values) in plain for row in own)
