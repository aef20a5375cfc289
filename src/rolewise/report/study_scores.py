"""The scores of a study's settings by seed, as a table: settings that are one training are one row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rolewise.errors import InputError, near
from rolewise.metric_info import MetricInfo
from rolewise.report.study_data import StudyData, read_study
from rolewise.report.study_page import short_labels
from rolewise.statistics.columns import column_of, is_higher_better
from rolewise.statistics.inert_axes import group_of, inert_axes
from rolewise.statistics.score_table import ScoreColumn, ScoreRow, ScoreTable, chosen_columns
from rolewise.words import counted


def study_score_table(root: Path, metrics: Sequence[str] = ()) -> ScoreTable:
    """Returns the table of a study: a row for each setting, student and arm.

    Args:
        root: the study folder.
        metrics: further columns of its table beside the primary metric.

    Raises:
        InputError: it is no study folder, or a column is not in its table.
    """
    data = read_study(root)
    for key in metrics:
        if key not in data.metrics:
            raise InputError(
                f"--metrics must be among the columns of {data.name}, got {key!r}{near(key, data.metrics)}"
            )
    axes = list(dict.fromkeys(axis for levels in data.parts.values() for axis in levels))
    labels = short_labels(axes)
    kinds = {name: len({row[name] for row in data.rows}) > 1 for name in ("part", "student", "arm")}
    beside = [name for name, several in kinds.items() if several]
    return ScoreTable(
        name=data.name,
        headings=(*beside, *(labels[axis] for axis in axes)) or ("student",),
        columns=chosen_columns([_column(key, data.infos) for key in data.metrics], metrics),
        rows=tuple(_rows(data, beside, axes)),
        part="test",
        missing=tuple(_missing(data)),
    )


def _column(key: str, infos: Sequence[MetricInfo]) -> ScoreColumn:
    info = next((one for one in infos if one.key == key), None)
    if info is not None:
        return ScoreColumn(info)
    column, higher = column_of(key), is_higher_better(key)
    unit = "fraction" if column.percent else "nats" if column.unit == "nats" else ""
    return ScoreColumn(MetricInfo(key, key.replace("_", " "), unit, higher is not False), higher is not None)


def _rows(data: StudyData, beside: Sequence[str], axes: Sequence[str]) -> list[ScoreRow]:
    inert = inert_axes(data.rows, data.parts, (*data.metrics, f"validation_{data.metric.key}"))
    settings: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in data.rows:
        acting = [axis for axis in data.parts[row["part"]] if axis not in inert[group_of(row)]]
        levels = [str(row[axis]) if axis in acting else "" for axis in axes]
        key = (str(row["part"]), str(row["student"]), str(row["arm"]), *levels)
        settings.setdefault(key, []).append(row)
    found = []
    for (part, student, arm, *levels), rows in settings.items():
        names = {"part": part, "student": student, "arm": arm}
        values: dict[str, dict[str, float]] = {}
        for row in rows:
            for metric in data.metrics:
                if row["status"] == "done" and row.get(metric) is not None:
                    values.setdefault(metric, {}).setdefault(str(row["seed"]), float(row[metric]))
        shown = (*(names[name] for name in beside), *levels) or (student,)
        found.append(ScoreRow(shown, student, values))
    return found


def _missing(data: StudyData) -> list[str]:
    left = {state: sum(row["status"] == state for row in data.rows) for state in ("waiting", "trained", "failed")}
    lines = []
    if left["waiting"] or left["trained"]:
        lines.append(
            f"{data.name} is not finished: of {counted(len(data.rows), 'row')} {left['waiting']} are waiting and "
            f"{left['trained']} are trained and not yet tested; the test set is opened once every training has ended."
        )
    if left["failed"]:
        lines.append(f"{counted(left['failed'], 'row')} of {data.name} failed and are in no mean.")
    return lines
