"""The table of a study's cells, as its page shows it."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.metric_info import MetricInfo
from rolewise.report.study_data import StudyData
from rolewise.statistics.estimates import estimate
from rolewise.statistics.study_sentences import Unit, column_unit


def table_of_cells(
    data: StudyData, part: str, labels: Mapping[str, str], metrics: Sequence[str], most: int
) -> tuple[list[dict[str, Any]], int]:
    """Returns a row for each cell, student and arm of one part, and how many are left out.

    Args:
        data: the study.
        part: the part's name.
        labels: a short name for each axis.
        metrics: columns that are shown.
        most: rows, the first ones.
    """
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in data.rows:
        if row["part"] == part:
            groups.setdefault((row["cell"], row["student"], row["arm"]), []).append(row)
    shown = itertools.islice(groups.items(), most)
    made = [_cell(name, rows, metrics, list(labels), data.infos) for name, rows in shown]
    return made, len(groups) - len(made)


def _cell(
    name: tuple[str, str, str],
    rows: list[dict[str, Any]],
    metrics: Sequence[str],
    axes: Sequence[str],
    infos: Sequence[MetricInfo],
) -> dict[str, Any]:
    first_metric = infos[0]
    done = [row for row in rows if row["status"] == "done"]
    values = []
    for metric in metrics:
        numbers = [row[metric] for row in done if row.get(metric) is not None]
        values.append(
            _spread(numbers, column_unit(metric, infos), interval=metric == first_metric.key) if numbers else ""
        )
    first = next((row for row in rows if row.get("parameters") is not None), {})
    seconds = [row["seconds"] for row in rows if row.get("seconds") is not None]
    return {
        "cell": name[0],
        "what": f"{name[1]}, {name[2]}",
        "levels": [str(rows[0][axis]) for axis in axes],
        "values": values,
        "seeds": f"{len(done)} of {len(rows)}",
        "whole": len(done) == len(rows),
        "validation": _mean([row.get(f"validation_{first_metric.key}") for row in rows], first_metric),
        "teacher": _mean([row.get(f"teacher_{first_metric.key}") for row in rows], first_metric),
        "parameters": f"{first['parameters']:,}" if first else "",
        "images": f"{first['images']:,}" if first else "",
        "seconds": f"{statistics.fmean(seconds):.1f}" if seconds else "",
    }


def _spread(numbers: Sequence[float], unit: Unit, *, interval: bool) -> str:
    found = estimate(numbers)
    spread = "" if found.sd is None else f" ± {unit.value(found.sd)}"
    if interval and found.low is not None and found.high is not None:
        spread += f" ({unit.value(found.low)} to {unit.value(found.high)})"
    return f"{unit.value(found.mean)}{spread}"


def _mean(numbers: Sequence[float | None], metric: MetricInfo) -> str:
    known = [number for number in numbers if number is not None]
    return metric.value(statistics.fmean(known)) if known else ""
