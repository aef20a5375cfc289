"""Regret: the distance of a proposal from the best cell of a finished grid, without choosing the best by luck."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rolewise.errors import InputError, near
from rolewise.statistics.effects import Level
from rolewise.statistics.estimates import Estimate, estimate

BestCellRule = Literal["validation", "other seeds"]
#: What a comparison is within; may be among the levels that hold.
_COLUMNS = ("part", "student", "arm")


@dataclass(frozen=True)
class Regret:
    """A proposal against the best of a grid.

    Args:
        metric: the column that is compared.
        cell: the proposal's nearest.
        levels: of that cell.
        distance: from the proposal to it: 0 where the grid has it, and 1 for each axis that is off by its whole range.
        chosen: the rule for the best cell: by the mean on validation images, or for each seed on all other seeds.
        best: the number of times that each cell was the best: once in all, or once for each seed.
        regret: best less proposal, over seeds, and proposal less best of a metric of which lower is better; below 0
            where the proposal did better than what was chosen.
        beside: best less the mean of all cells, likewise: what a cell taken blindly costs.
        cells: that are finished for every seed, and compared.
        left_out: cells that are not.
        higher_is_better: whether a higher value of the metric is the better one.
    """

    metric: str
    cell: str
    levels: Mapping[str, Level]
    distance: float
    chosen: BestCellRule
    best: Mapping[str, int]
    regret: Estimate
    beside: Estimate
    cells: int
    left_out: int
    higher_is_better: bool = True


def regret(
    rows: Sequence[Mapping[str, Any]],
    axes: Sequence[str],
    proposal: Mapping[str, Level],
    *,
    where: Mapping[str, Level] | None = None,
    metric: str = "accuracy",
    select: str = "validation_accuracy",
    distances: Mapping[str, float] | None = None,
    lower: Collection[str] = (),
) -> Regret:
    r"""Returns the distance of a proposal's nearest cell below the best cell of a grid.

    .. math:: r_s = y_{b(s), s} - y_{p, s}

    with y the metric, p the proposal's cell and b(s) the best one: the one of the best mean on validation images
    where every row has one, and else the one of the best mean metric over all seeds but s. Chosen and judged on the
    same numbers, the best of many cells would be too good. The interval is Student's over seeds; where b(s) is chosen
    on the other seeds these overlap, and the interval is a little too narrow.

    Source: none; leaving one out is cross-validation (Stone, 1974).

    Args:
        rows: of a study's table (``results.csv``), of one student and one arm: cell, seed, status, axes, metrics.
        axes: names of the columns that the grid varies.
        proposal: a value for each axis that ``where`` does not fix. Numbers may lie between the levels: the nearest is
            taken, by logarithms where all levels are positive.
        where: levels that hold, such as the size of the student that the advice was for; also of part, student and arm.
        metric: column to compare.
        select: column to choose by.
        distances: of each cell from the proposal, by its name, where they are known otherwise; the proposal is not
            looked at then.
        lower: columns of which lower is better; of all others higher is.

    Raises:
        InputError: an axis has no value, a level is not in the grid, a student or an arm is not the only one, no cell
            is finished for every seed, or there is one seed alone.
    """
    fixed = dict(where or {})
    _check(rows, axes, proposal, fixed, distances is not None)
    mine = [row for row in rows if all(row[axis] == level for axis, level in fixed.items())]
    if not mine:
        raise InputError(f"rows must hold {_said(fixed)}, got none; look at the table's levels")
    for column in _COLUMNS:
        found = sorted({str(row.get(column)) for row in mine})
        if len(found) > 1:
            raise InputError(
                f"rows must be of one {column}, got {', '.join(found)}; choose one, such as {column}={found[0]}"
            )
    seeds = sorted({int(row["seed"]) for row in mine})
    whole, left_out = _whole(mine, seeds, metric)
    if not whole:
        raise InputError(f"a cell must be finished for every seed, got none of {left_out}; let the study go on")
    if len(seeds) < 2:
        raise InputError(f"regret must be over at least two seeds, got {len(seeds)}; run more")
    free = [axis for axis in axes if axis not in fixed]
    cells = {name: {axis: by_seed[seeds[0]][axis] for axis in axes} for name, by_seed in whole.items()}
    if distances is None:
        known = list(cells.values())
        distances = {name: distance(levels, proposal, free, known) for name, levels in cells.items()}
    nearest = min(cells, key=distances.__getitem__)
    sign, by = (-1.0 if column in lower else 1.0 for column in (metric, select))
    values = {name: {seed: sign * float(by_seed[seed][metric]) for seed in seeds} for name, by_seed in whole.items()}
    held = {name: [by_seed[seed].get(select) for seed in seeds] for name, by_seed in whole.items()}
    if all(score is not None for scores in held.values() for score in scores):
        best = max(held, key=lambda name: by * statistics.fmean(float(score or 0.0) for score in held[name]))
        chosen: BestCellRule = "validation"
        bests = {seed: best for seed in seeds}
        counts = {best: 1}
    else:
        chosen = "other seeds"
        bests = {seed: _best_without(values, seed) for seed in seeds}
        counts = dict(Counter(bests.values()))
    mean = {seed: statistics.fmean(by_seed[seed] for by_seed in values.values()) for seed in seeds}
    return Regret(
        metric,
        nearest,
        cells[nearest],
        distances[nearest],
        chosen,
        counts,
        estimate([values[bests[seed]][seed] - values[nearest][seed] for seed in seeds]),
        estimate([values[bests[seed]][seed] - mean[seed] for seed in seeds]),
        len(whole),
        left_out,
        sign > 0,
    )


def _check(
    rows: Sequence[Mapping[str, Any]],
    axes: Sequence[str],
    proposal: Mapping[str, Level],
    fixed: Mapping[str, Level],
    placed: bool,
) -> None:
    if not rows:
        raise InputError("rows must hold at least one, got none")
    for name in (*proposal, *fixed):
        if name not in axes and not (name in fixed and name in _COLUMNS):
            raise InputError(f"an axis must be one of the grid's, got {name!r}{near(name, axes)}")
    for axis in () if placed else axes:
        if axis not in proposal and axis not in fixed:
            levels = list(dict.fromkeys(row[axis] for row in rows))
            raise InputError(
                f"the axis {axis!r} must have a value, got none; name which of {', '.join(map(str, levels))} holds"
            )


def _whole(
    rows: Sequence[Mapping[str, Any]], seeds: Sequence[int], metric: str
) -> tuple[dict[str, dict[int, Mapping[str, Any]]], int]:
    """Returns the cells that are finished for every seed, by name and seed, and how many others there are."""
    cells: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        by_seed = cells.setdefault(str(row["cell"]), {})
        if row["status"] == "done" and _is_number(row.get(metric)):
            by_seed[int(row["seed"])] = row
    whole = {name: by_seed for name, by_seed in cells.items() if len(by_seed) == len(seeds)}
    return whole, len(cells) - len(whole)


def distance(
    levels: Mapping[str, Any], proposal: Mapping[str, Any], axes: Sequence[str], grid: Sequence[Mapping[str, Any]]
) -> float:
    """Returns the distance of a cell from a proposal: the sum over the axes, in units of each axis's range.

    Numbers are compared by logarithms where all of an axis are positive; what is no number, or is lacking on one side,
    is at distance 1 unless it is the same.

    Args:
        levels: of the cell.
        proposal: the proposal's levels; a level that either lacks is None.
        axes: that count.
        grid: levels of all cells, for the ranges.
    """
    total = 0.0
    for axis in axes:
        wanted, here = proposal.get(axis), levels.get(axis)
        if not (_is_number(wanted) and _is_number(here)):
            total += wanted != here
            continue
        known = [one[axis] for one in grid if _is_number(one.get(axis))]
        numbers = [float(value) for value in (wanted, here, *known)]
        if min(numbers) > 0:
            numbers = [math.log(number) for number in numbers]
        span = max(numbers[2:]) - min(numbers[2:])
        total += abs(numbers[0] - numbers[1]) / span if span else float(numbers[0] != numbers[1])
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _best_without(values: Mapping[str, Mapping[int, float]], seed: int) -> str:
    """Returns the cell of the highest mean over all seeds but one."""
    return max(values, key=lambda name: statistics.fmean(y for other, y in values[name].items() if other != seed))


def _said(fixed: Mapping[str, Level]) -> str:
    return " and ".join(f"{axis} = {level}" for axis, level in fixed.items())


def regret_sentence(found: Regret, unit: str = " points", scale: float = 100.0) -> str:
    """Returns the sentence of a regret.

    Args:
        found: the regret.
        unit: behind a difference.
        scale: differences are multiplied by it.
    """
    levels = ", ".join(f"{axis} {level}" for axis, level in found.levels.items())
    exact = (
        "the proposal itself" if found.distance == 0 else f"the proposal's nearest, at distance {found.distance:.2g}"
    )
    names = ", ".join(f"{name} ({count}x)" if len(found.best) > 1 else name for name, count in found.best.items())
    how = "chosen on validation" if found.chosen == "validation" else "chosen for each seed on the others"
    shown = (unit, scale, found.higher_is_better)
    left = f"; {found.left_out} unfinished cells left out" if found.left_out else ""
    return (
        f"{found.cell} ({levels}; {exact}) is {_below(found.regret, *shown)} the best of {found.cells} cells in "
        f"{found.metric} ({names}; {how}{left}). The mean of all cells is {_below(found.beside, *shown)} it."
    )


def _below(value: Estimate, unit: str, scale: float, higher_is_better: bool) -> str:
    """Returns the sentence on a difference: below, or above where it is negative; the other way round for an error."""
    where, sign = ("below" if higher_is_better else "above", scale)
    digits = 1 if scale == 100 else 3
    if value.mean < 0:
        where, sign = ("above" if higher_is_better else "below", -scale)
    if value.low is None or value.high is None:
        return f"{sign * value.mean:.{digits}f}{unit} (the same for every seed) {where}"
    low, high = sorted((sign * value.low, sign * value.high))
    return f"{sign * value.mean:.{digits}f}{unit} (95% interval {low:+.{digits}f} to {high:+.{digits}f}) {where}"
