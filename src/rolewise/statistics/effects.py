"""Effects of each axis of a study: differences between levels, paired over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rolewise.statistics.estimates import Estimate, adjusted_together, estimate

Level = str | int | float | bool
#: A part of the study, a student and an arm: differences are taken within it.
Group = tuple[str, str, str]
#: The levels of all axes.
Combination = tuple[Level, ...]


@dataclass(frozen=True)
class Contrast:
    """One level against its axis's first, or how that difference depends on another axis.

    Args:
        group: part, student, arm.
        axis: the varied setting.
        level: its level.
        reference: the axis's first.
        other: of an interaction, the other axis with its level and its reference; None for a main effect.
        difference: mean over seeds, with its interval; None where no combination of levels is complete.
        adjusted: p value adjusted for all contrasts of the part (Holm); None where there is no p value.
        combinations: of the other axes' levels that each seed's difference is a mean over.
        left_out: combinations that some seed has not finished, or that are not in the grid on both sides.
        seeds: the number of seeds.
        family: contrasts that the adjustment is for.
    """

    group: Group
    axis: str
    level: Level
    reference: Level
    other: tuple[str, Level, Level] | None
    difference: Estimate | None
    adjusted: float | None
    combinations: int
    left_out: int
    seeds: int
    family: int = 0

    @property
    def untouched(self) -> bool:
        """Whether every seed's difference is exactly 0, as where an axis does not act on an arm at all."""
        return self.difference is not None and self.difference.mean == 0 and self.difference.sd in (None, 0.0)

    @property
    def supported(self) -> bool:
        """Whether the data support that there is a difference: its adjusted p value is at most 0.05."""
        return self.adjusted is not None and self.adjusted <= 0.05


def contrasts(rows: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Level]], metric: str) -> list[Contrast]:
    r"""Returns the main effects and the two-way interactions of one part of a study.

    With :math:`y_{s c}` the metric of seed s at the combination c of the axes' levels, a main effect is

    .. math:: d_s = \frac{1}{|C|} \sum_{c \in C} \left( y_{s, (a, c)} - y_{s, (a_0, c)} \right)

    over the combinations C of the other axes that are complete at both levels, and an interaction is the mean of
    :math:`(y_{a b c} - y_{a_0 b c}) - (y_{a b_0 c} - y_{a_0 b_0 c})`. The seeds' differences are taken as independent
    draws of one normal distribution: the interval and the p value are Student's over seeds, with nothing assumed of
    how much the cells vary. What a seed's cells share (data, initial weights) cancels in its difference.

    A seed without any complete combination is left out of a contrast; then each combination that is not complete at
    every other seed. Failed rows count as not there.

    Source: Student (1908); Holm (1979) for the adjustment.

    Args:
        rows: of one part, with part, student, arm, seed, status, the axes and the metric.
        axes: their levels; the first is the reference.
        metric: a column of numbers.
    """
    found: list[Contrast] = []
    for group, values in _grouped(rows, axes, metric).items():
        seen = [set(column) for column in zip(*(one for cells in values.values() for one in cells), strict=True)]
        present = {
            axis: [level for level in levels if seen and level in seen[at]]
            for at, (axis, levels) in enumerate(axes.items())
        }
        for number, axis in enumerate(axes):
            for level in present[axis][1:]:
                found.append(_contrast(group, values, present, [(number, axis, level)]))
        for (one, first), (two, second) in itertools.combinations(enumerate(axes), 2):
            for a, b in itertools.product(present[first][1:], present[second][1:]):
                found.append(_contrast(group, values, present, [(one, first, a), (two, second, b)]))
    ps, family = adjusted_together([one.difference for one in found])
    return [replace(one, adjusted=p, family=family) for one, p in zip(found, ps, strict=True)]


Values = dict[int, dict[Combination, float]]


def _grouped(
    rows: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Level]], metric: str
) -> dict[Group, Values]:
    groups: dict[Group, Values] = {}
    for row in rows:
        seeds = groups.setdefault((str(row["part"]), str(row["student"]), str(row["arm"])), {})
        cells = seeds.setdefault(int(row["seed"]), {})
        if row["status"] == "done" and row.get(metric) is not None:
            cells[tuple(row[axis] for axis in axes)] = float(row[metric])
    return groups


def _contrast(
    group: Group, values: Values, present: Mapping[str, Sequence[Level]], varied: Sequence[tuple[int, str, Level]]
) -> Contrast:
    fixed = {at for at, _, _ in varied}
    levels = list(present.values())
    rest = list(itertools.product(*(levels[at] if at not in fixed else [None] for at in range(len(levels)))))
    by_seed: dict[int, dict[Any, float]] = {}
    for seed, cells in values.items():
        for combination in rest:
            terms = _terms(combination, varied, present)
            if all(cell in cells for cell, _ in terms):
                difference = sum(sign * cells[cell] for cell, sign in terms)
                # What is left by rounding is no difference.
                small = 1e-12 * max(abs(cells[cell]) for cell, _ in terms)
                by_seed.setdefault(seed, {})[combination] = 0.0 if abs(difference) <= small else difference
    common = [one for one in rest if by_seed and all(one in found for found in by_seed.values())]
    means = [sum(found[one] for one in common) / len(common) for found in by_seed.values()] if common else []
    (_, axis, level), *others = varied
    other = (others[0][1], others[0][2], present[others[0][1]][0]) if others else None
    return Contrast(
        group=group,
        axis=axis,
        level=level,
        reference=present[axis][0],
        other=other,
        difference=estimate(means) if means else None,
        adjusted=None,
        combinations=len(common),
        left_out=len(rest) - len(common),
        seeds=len(means),
    )


def _terms(
    combination: Sequence[Any], varied: Sequence[tuple[int, str, Level]], present: Mapping[str, Sequence[Level]]
) -> list[tuple[Combination, int]]:
    """Returns the cells of one difference, or difference of differences, with their signs."""
    terms = []
    for chosen in itertools.product((True, False), repeat=len(varied)):
        cell = list(combination)
        for taken, (at, axis, level) in zip(chosen, varied, strict=True):
            cell[at] = level if taken else present[axis][0]
        terms.append((tuple(cell), -1 if chosen.count(False) % 2 else 1))
    return terms
