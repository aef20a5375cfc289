"""Sentences on what a study supports, and on what it does not."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.statistics.columns import COLUMNS, column_of
from rolewise.statistics.effects import Contrast, Group
from rolewise.statistics.estimates import Estimate, estimate, paired


@dataclass(frozen=True)
class Unit:
    """The unit of a metric in sentences.

    Args:
        name: of the metric.
        scale: numbers are multiplied by it.
        unit: behind a difference.
        digits: after the point.
        lower_is_better: whether the metric is known to be an error.
    """

    name: str
    scale: float
    unit: str
    digits: int
    lower_is_better: bool = False

    def value(self, number: float) -> str:
        """Returns a value."""
        return f"{self.scale * number:.{self.digits}f}"

    def change(self, number: float) -> str:
        """Returns a difference with its sign."""
        return f"{self.scale * number:+.{self.digits}f}"


def column_unit(metric: str, infos: Sequence[MetricInfo] = ()) -> Unit:
    """Returns the unit of a metric in sentences: fractions of images in percent, everything else as it is.

    Args:
        metric: a column of the table.
        infos: metrics of the task, with the titles and units of those that are one's own.
    """
    column = column_of(metric, infos)
    info = next((one for one in infos if one.key == metric), None)
    name = metric.replace("_", " ") if info is None or metric in COLUMNS else info.title
    lower = info is not None and not info.higher_is_better
    if column.percent:
        return Unit(name, 100, " points", column.digits, lower)
    unit = info.change_unit if info is not None else " nats" * (column.unit == "nats")
    return Unit(name, 1, unit, column.digits, lower)


def effect_sentences(
    found: Sequence[Contrast], metric: str, labels: Mapping[str, str], infos: Sequence[MetricInfo] = ()
) -> dict[Group, list[str]]:
    """Returns for each part, student and arm what its contrasts support.

    Args:
        found: of `rolewise.statistics.effects.contrasts`.
        metric: their column.
        labels: a short name for each axis.
        infos: metrics of the task.
    """
    unit = column_unit(metric, infos)
    sentences: dict[Group, list[str]] = {}
    for group in dict.fromkeys(one.group for one in found):
        mine = [one for one in found if one.group == group]
        main, crossed = [one for one in mine if one.other is None], [one for one in mine if one.other is not None]
        lines = _unknown(mine) or [
            *_mains(main, unit, labels),
            *_interactions(crossed, unit, labels),
        ]
        sentences[group] = lines
    return sentences


def _unknown(mine: Sequence[Contrast]) -> list[str]:
    if mine and max(one.seeds for one in mine) == 1:
        return ["One seed says nothing about noise: no difference is supported. Run more seeds."]
    return []


def _main(one: Contrast, unit: Unit, labels: Mapping[str, str]) -> str:
    what = f"{labels[one.axis]}: {one.level} instead of {one.reference}"
    if one.difference is None:
        return f"{what} cannot be judged: no combination of the other axes is finished at both levels."
    if one.seeds == 1:
        change = f"{unit.change(one.difference.mean)}{unit.unit} in {unit.name}"
        return f"{what}: {change}, of one seed, which says nothing about noise."
    if one.difference.low is None:
        return f"{what} changes {unit.name} by {_size(one.difference, unit)} in every seed alike: its noise is unknown."
    verb = "raises" if one.difference.mean > 0 else "lowers"
    if one.supported:
        side = f", which is {'worse' if one.difference.mean > 0 else 'better'}" if unit.lower_is_better else ""
        return f"{what} {verb} {unit.name} by {_size(one.difference, unit)}{side} ({_evidence(one, unit)})."
    return (
        f"{what} cannot be told apart in {unit.name}: {unit.change(one.difference.mean)}{unit.unit} "
        f"({_evidence(one, unit)}{_alone(one)})."
    )


def _mains(main: Sequence[Contrast], unit: Unit, labels: Mapping[str, str]) -> list[str]:
    """Returns a sentence for each level, and one for all levels that give the very numbers of the axis's first."""
    lines = []
    for axis in dict.fromkeys(one.axis for one in main):
        mine = [one for one in main if one.axis == axis]
        untouched = [one for one in mine if one.untouched]
        for one in mine:
            if not one.untouched:
                lines.append(_main(one, unit, labels))
            elif one is untouched[0]:
                levels = " and ".join(str(level.level) for level in untouched)
                lines.append(
                    f"{labels[axis]}: {levels} instead of {one.reference} makes no difference whatsoever: every seed "
                    "gives the same number to the last digit."
                )
    return lines


def _interactions(crossed: Sequence[Contrast], unit: Unit, labels: Mapping[str, str]) -> list[str]:
    lines = []
    for pair in dict.fromkeys((one.axis, one.other[0]) for one in crossed if one.other is not None):
        mine = [one for one in crossed if one.other is not None and (one.axis, one.other[0]) == pair]
        told = [one for one in mine if one.supported]
        for one in told:
            assert one.difference is not None and one.other is not None
            one_more = "more" if one.difference.mean > 0 else "less"
            lines.append(
                f"{labels[pair[0]]} and {labels[pair[1]]} act on each other: what {one.level} instead of "
                f"{one.reference} does to {unit.name} is {_size(one.difference, unit)} {one_more} at {one.other[1]} "
                f"than at {one.other[2]} ({_evidence(one, unit)})."
            )
        judged = [one for one in mine if one.difference is not None and one.difference.low is not None]
        if not told and judged:
            largest = max(judged, key=lambda one: abs(one.difference.mean) if one.difference else 0.0)
            assert largest.difference is not None
            which = f"the largest of {len(judged)} contrasts" if len(judged) > 1 else "their contrast"
            lines.append(
                f"Whether {labels[pair[0]]} and {labels[pair[1]]} act on each other cannot be told; {which} is "
                f"{unit.change(largest.difference.mean)}{unit.unit} ({_evidence(largest, unit)})."
            )
    return lines


def _size(difference: Estimate, unit: Unit) -> str:
    return f"{unit.value(abs(difference.mean))}{unit.unit}"


def _evidence(one: Contrast, unit: Unit) -> str:
    assert one.difference is not None and one.difference.low is not None and one.difference.high is not None
    interval = f"95% interval {unit.change(one.difference.low)} to {unit.change(one.difference.high)}"
    p = "" if one.adjusted is None else f", Holm p = {one.adjusted:.2g}"
    count = "1 combination" if one.left_out == 1 else f"{one.left_out} combinations"
    left = f"; {count} left out" if one.left_out else ""
    return f"{interval}{p}, {one.seeds} seeds{left}"


def _alone(one: Contrast) -> str:
    if one.difference is None or not one.difference.exceeds_noise:
        return ""
    return f"; more than the noise of one comparison, but not of all {one.family}"


def best_sentence(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[str], labels: Mapping[str, str], metric: MetricInfo = ACCURACY
) -> str:
    """Names the cell with the best mean of a metric on validation images; test images take no part in the choice.

    Args:
        rows: of one part. Cells that have not finished every seed are not chosen.
        axes: of the part.
        labels: a short name for each axis.
        metric: the first one of the task.
    """
    column = f"validation_{metric.key}"
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((str(row["cell"]), str(row["student"]), str(row["arm"])), []).append(row)
    whole = {
        name: mine
        for name, mine in groups.items()
        if all(row["status"] == "done" and row.get(column) is not None for row in mine)
    }
    if not whole:
        return f"No best cell is named: no cell has a validation {metric.title} for every seed."
    # Cells that differ in an axis which does not act are one training, and count once.
    trainings: dict[Any, tuple[str, str, str]] = {}
    for name, mine in whole.items():
        trainings.setdefault((name[1:], tuple(_beside(row, ("cell", *axes)) for row in mine)), name)
    scores = {name: [float(row[column]) for row in whole[name]] for name in trainings.values()}
    best = max(scores, key=lambda name: metric.goodness(statistics.fmean(scores[name])))
    chosen = whole[best]
    test = estimate([float(row[metric.key]) for row in chosen])
    where = ", ".join(f"{labels[axis]} {chosen[0][axis]}" for axis in axes)
    spread = "" if test.sd is None else f" ± {metric.value(test.sd)}"
    there = metric.shown(statistics.fmean(scores[best]))
    sentence = (
        f"Chosen on validation: {where} ({best[1]}, {best[2]}), {there} there; its "
        f"test {metric.title}, which took no part in the choice, is {metric.value(test.mean)}{spread}"
        f"{'%' if metric.unit == 'fraction' else metric.change_unit}"
    )
    rivals = sum(
        len(scores[name]) == len(scores[best]) and not paired(scores[best], scores[name]).exceeds_noise
        for name in scores
        if name != best
    )
    return f"{sentence}. {rivals} of the other {len(scores) - 1} cannot be told from it on validation."


def _beside(row: Mapping[str, Any], left_out: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Returns all that a row holds but for some columns, in a form that can be compared."""
    return tuple(sorted((name, repr(value)) for name, value in row.items() if name not in left_out))
