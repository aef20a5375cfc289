"""The answers of a study: its cells in order, each against the undistilled student, and its questions."""

from __future__ import annotations

import bisect
import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from rolewise.metric_info import MetricInfo
from rolewise.statistics.answers import NOT_ALONE, NOT_DISTILLED, Gain
from rolewise.statistics.arm_differences import adjusted_differences
from rolewise.statistics.effects import Group, Level
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate, paired
from rolewise.statistics.gap_share import gap_share
from rolewise.statistics.inert_axes import group_of, inert_axes
from rolewise.statistics.noise_levels import LIMIT
from rolewise.statistics.questions import Answer, answer_questions

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RankedCell:
    """One setting of a study under one student and arm: cells that differ in what does not act on the arm are one.

    Args:
        group: part, student, arm.
        cells: names of the cells.
        levels: of the axes that act on the arm.
        distilled: with or without distillation.
        score: the primary metric on the test set, over seeds; None where a seed is not finished.
        validation: the primary metric on validation images, over seeds; None where a seed has none.
        place: from 1 for the best of its student; equal scores share a place. None where it is not finished.
        behind: its difference to the best of its student in what the order is by, paired by seed; None for the best.
        behind_p: p value of that difference, adjusted for all others of its student (Holm); None where there is none.
        gain: of distillation; None for a cell without it, or without a counterpart.
        seeds: seeds that have a number.
        of_seeds: seeds that it has.
        finished: seeds that are finished, with a number or without.
    """

    group: Group
    cells: tuple[str, ...]
    levels: Mapping[str, Level]
    distilled: bool
    score: Estimate | None
    validation: Estimate | None
    place: int | None
    behind: Estimate | None
    behind_p: float | None
    gain: Gain | None
    seeds: int
    of_seeds: int
    finished: int = 0

    @property
    def is_rival(self) -> bool:
        """Whether the cell cannot be told from the best of its student."""
        return self.behind is not None and (self.behind_p is None or self.behind_p > LIMIT)


@dataclass(frozen=True)
class StudyAnswers:
    """The answers of a study.

    Args:
        metric: the primary metric.
        cells: settings, the best of each student first; those that are not finished last.
        ordered_by: validation images where all finished rows have them, so that test images choose nothing; else test.
        inert: axes that do not act on a part, student and arm.
        questions: the answers to the study's questions.
        missing: the kind of arm without which no gain of distillation is there; None where there are both.
    """

    metric: MetricInfo
    cells: tuple[RankedCell, ...]
    ordered_by: Literal["validation", "test"]
    inert: Mapping[Group, tuple[str, ...]]
    questions: tuple[Answer, ...]
    missing: str | None

    def of(self, student: str) -> list[RankedCell]:
        """Returns the settings of one student, the best first."""
        return self._by_student.get(student, [])

    @functools.cached_property
    def several_arms(self) -> frozenset[str]:
        """The students that have more than one arm."""
        return frozenset(name for name, cells in self._by_student.items() if len({cell.group[2] for cell in cells}) > 1)

    @functools.cached_property
    def _by_student(self) -> dict[str, list[RankedCell]]:
        found: dict[str, list[RankedCell]] = {}
        for cell in self.cells:
            found.setdefault(cell.group[1], []).append(cell)
        return found


#: Undistilled cells with their metric by seed, by their axes and then by their levels.
_Alone: TypeAlias = dict[tuple[str, ...], dict[tuple[Level | None, ...], list[tuple[RankedCell, dict[int, float]]]]]


def study_answers(
    rows: Sequence[Row],
    parts: Mapping[str, Mapping[str, Sequence[Level]]],
    metric: MetricInfo,
    columns: Sequence[str],
    questions: Sequence[Mapping[str, Any]] = (),
    infos: Sequence[MetricInfo] = (),
) -> StudyAnswers:
    """Returns the answers of a study, also of one that is not finished.

    Args:
        rows: of its table.
        parts: axes with their levels, by part.
        metric: the primary metric.
        columns: of numbers that were measured on the test set.
        questions: of the study's record (see `rolewise.statistics.questions.answer_questions`).
        infos: all metrics of the task, for units.
    """
    validation = f"validation_{metric.key}"
    inert = inert_axes(rows, parts, (*columns, validation))
    axes = list(dict.fromkeys(axis for levels in parts.values() for axis in levels))
    settings: dict[Any, list[Row]] = {}
    for row in rows:
        group = group_of(row)
        acting = {axis: row[axis] for axis in parts[group[0]] if axis not in inert[group]}
        settings.setdefault((group, tuple(acting.items())), []).append(row)
    cells = [_cell(group, dict(levels), mine, metric, validation) for (group, levels), mine in settings.items()]
    held = list(zip(cells, settings.values(), strict=True))
    alone: dict[tuple[str, str], _Alone] = {}
    for cell, mine in held:
        if not cell.distilled:
            by_levels = alone.setdefault(cell.group[1:], {}).setdefault(tuple(cell.levels), {})
            by_levels.setdefault(tuple(cell.levels.values()), []).append((cell, _values(mine, metric.key)))
    gains = [_gain(cell, mine, alone, metric) for cell, mine in held]
    adjusted = iter(adjusted_differences([gain for gain in gains if gain is not None]))
    held = [
        (replace(cell, gain=None if gain is None else next(adjusted)), mine)
        for (cell, mine), gain in zip(held, gains, strict=True)
    ]
    finished = [cell for cell, _ in held if cell.score is not None]
    by_validation = bool(finished) and all(cell.validation is not None for cell in finished)
    key = validation if by_validation else metric.key
    ordered = [
        one
        for student in dict.fromkeys(cell.group[1] for cell in cells)
        for one in _ordered(held, student, key, metric)
    ]
    kinds = {bool(row["distilled"]) for row in rows}
    return StudyAnswers(
        metric=metric,
        cells=tuple(ordered),
        ordered_by="validation" if by_validation else "test",
        inert=inert,
        questions=tuple(answer_questions(rows, axes, questions, infos)),
        missing=None if len(kinds) == 2 else NOT_ALONE if True in kinds else NOT_DISTILLED,
    )


def _values(rows: Sequence[Row], column: str) -> dict[int, float]:
    """Returns a column by seed; of cells that are one training the first row counts."""
    found: dict[int, float] = {}
    for row in rows:
        if row["status"] == "done" and row.get(column) is not None:
            found.setdefault(int(row["seed"]), float(row[column]))
    return found


def _cell(group: Group, levels: dict[str, Level], rows: Sequence[Row], metric: MetricInfo, column: str) -> RankedCell:
    seeds, done, held = len({row["seed"] for row in rows}), _values(rows, metric.key), _values(rows, column)
    return RankedCell(
        group=group,
        cells=tuple(dict.fromkeys(str(row["cell"]) for row in rows)),
        levels=levels,
        distilled=bool(rows[0]["distilled"]),
        score=estimate([*done.values()]) if len(done) == seeds else None,
        validation=estimate([*held.values()]) if len(held) == seeds else None,
        place=None,
        behind=None,
        behind_p=None,
        gain=None,
        seeds=len(done),
        of_seeds=seeds,
        finished=len({row["seed"] for row in rows if row["status"] == "done"}),
    )


def _gain(
    cell: RankedCell, rows: Sequence[Row], undistilled: Mapping[tuple[str, str], _Alone], metric: MetricInfo
) -> Gain | None:
    """Returns the gain of a cell over its undistilled counterpart, where there is one and no more."""
    if not cell.distilled:
        return None
    augmentation = cell.group[2].split("+distill")[0]
    fitting = [
        one
        for axes, by_levels in undistilled.get((cell.group[1], augmentation), {}).items()
        for one in by_levels.get(tuple(cell.levels.get(axis) for axis in axes), ())
    ]
    # One in the same part is closer than one elsewhere.
    fitting = [one for one in fitting if one[0].group[0] == cell.group[0]] or fitting
    if len(fitting) != 1:
        return None
    other, alone = fitting[0]
    own, taught = _values(rows, metric.key), _values(rows, f"teacher_{metric.key}")
    seeds = [seed for seed in own if seed in alone]
    if not seeds:
        return None
    first, second = [own[seed] for seed in seeds], [alone[seed] for seed in seeds]
    teacher = [taught[seed] for seed in seeds] if all(seed in taught for seed in seeds) else None
    return Gain(
        student=cell.group[1],
        arm=cell.group[2],
        control=other.group[2],
        of=augmentation,
        against=augmentation,
        score=estimate(first),
        control_score=estimate(second),
        difference=paired(first, second),
        metric=metric,
        teacher_score=None if teacher is None else estimate(teacher),
        closed=gap_share(first, second, teacher, metric),
    )


def _ordered(
    held: Sequence[tuple[RankedCell, Sequence[Row]]], student: str, column: str, metric: MetricInfo
) -> list[RankedCell]:
    """Returns the cells of a student with their places, and the differences of all others to the first."""
    mine = [(cell, _values(rows, column)) for cell, rows in held if cell.group[1] == student]
    whole = [(cell, values) for cell, values in mine if cell.score is not None]
    means = [metric.goodness(statistics.fmean(values.values())) for _, values in whole]
    order = sorted(range(len(whole)), key=lambda at: -means[at])
    behind: list[Estimate | None] = [None] if order else []
    for at in order[1:]:
        best, own = whole[order[0]][1], whole[at][1]
        seeds = [seed for seed in own if seed in best]
        behind.append(paired([own[seed] for seed in seeds], [best[seed] for seed in seeds]) if seeds else None)
    ps, _ = adjusted_together(behind)
    rising = sorted(means)
    places = [1 + len(rising) - bisect.bisect_right(rising, means[at]) for at in order]
    ranked = [
        replace(whole[at][0], place=place, behind=one, behind_p=p)
        for at, place, one, p in zip(order, places, behind, ps, strict=True)
    ]
    return [*ranked, *(cell for cell, _ in mine if cell.score is None)]
