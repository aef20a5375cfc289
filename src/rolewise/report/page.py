"""The page of a run: one self-contained HTML file out of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolewise.files import AnyPath, as_path, write_text
from rolewise.metric_info import CLASS_METRICS
from rolewise.report import bits
from rolewise.report.arms_figures import arms_figure
from rolewise.report.cells import change_of, p_value, with_interval, with_spread
from rolewise.report.costs import costs_table
from rolewise.report.curves_figures import curves_figure, schedules_figure
from rolewise.report.drawing import Drawing
from rolewise.report.facts import run_facts
from rolewise.report.gradients_figure import gradients_figure
from rolewise.report.lineage_figure import lineage_figure
from rolewise.report.meanings import MEANINGS
from rolewise.report.opening import opening
from rolewise.report.predicted import predicted
from rolewise.report.rendering import render
from rolewise.report.run_data import RunData, read_run
from rolewise.report.searched_numbers import searched_numbers
from rolewise.report.strips import seen_texts, views
from rolewise.results_format import example_of, values_of
from rolewise.statistics import (
    ArmRow,
    Estimate,
    caution,
    compare,
    estimate,
)


def write_report(root: AnyPath) -> Path:
    """Writes ``report.html`` into a run folder, also of a run that is not finished.

    Raises:
        InputError: it is no run folder, or a file in it is damaged.
    """
    root = as_path(root, "root")
    path = root / "report.html"
    write_text(path, run_page(root))
    return path


def run_page(root: Path, live: Mapping[str, Any] | None = None) -> str:
    """Returns the page of a run, also of one that is not finished; nothing is written.

    Args:
        root: the run folder.
        live: the seconds between two looks for changes, and the number of stages; None for a page to keep.

    Raises:
        InputError: it is no run folder, or a file in it is damaged.
    """
    return render("report.html.j2", {**_content(read_run(root)), "live": live})


def _content(data: RunData) -> dict[str, Any]:
    rows = compare(data.results) if data.results is not None else []
    students = list(dict.fromkeys(row.student for row in rows))
    first = min((int(name.split("/")[0].removeprefix("seed")) for name in data.lineages), default=0)
    roles = list(dict.fromkeys(name.split("/")[1].removesuffix("-search") for name in data.schedules))
    roles.sort(key=lambda role: role != "teacher")
    texts = "clean" in data.previews and data.previews["clean"].dtype.kind == "U"
    return {
        "kind": "run report",
        "name": data.name,
        "meanings": MEANINGS,
        "metric": data.metrics[0],
        "others": _others(data),
        "within": _within(data),
        **opening(data, rows),
        "facts": run_facts(data),
        "caution": caution(data.results, rows) if data.results is not None else None,
        "family": rows[0].family[1] if rows else 0,
        "seeds": data.results["seeds"] if data.results is not None else [],
        "tables": {student: [_row(row, data) for row in rows if row.student == student] for student in students},
        "teachers": _teachers(data),
        "arms_figure": arms_figure(rows) if rows else None,
        **predicted(data),
        "lineages": {
            role: lineage_figure(data.lineages[name], f"{role}, seed {first}", data.metrics[0])
            for role in roles
            if (name := f"seed{first}/{role}-search") in data.lineages
        },
        "retired": _retired(data),
        "searches": bool(data.lineages or data.schedules),
        "searched": searched_numbers(data),
        "bits": bits.twins_table(data),
        "size_figure": bits.size_figure(data, rows),
        "histograms": bits.histograms(data),
        "schedules_figure": _schedules(data, roles),
        "views": {role: views(data.previews, role) for role in roles if f"{role}/0" in data.previews and not texts},
        "texts": {role: seen_texts(data.previews, role) for role in roles if f"{role}/0" in data.previews and texts},
        "curves_figure": _curves(data),
        "gradients_figure": _gradients(data, rows),
        "costs": costs_table(data),
        "examples": f"{example_of(data.results)}s",
        "classes": data.classes,
        "config": data.config,
        "environment": data.environment,
    }


def _row(row: ArmRow, data: RunData) -> dict[str, Any]:
    score, metric = row.score, row.metric
    seeds = len(data.results["seeds"]) if data.results is not None else None
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f"{metric.value(score.low)} to {metric.value(score.high)}"
    return {
        "name": row.name,
        "score": with_spread(metric, score, seeds),
        "interval": interval,
        "change": change_of(row),
        "adjusted": p_value(row.adjusted),
        "together": p_value(row.together),
        "beyond": row.together is not None and row.together <= 0.05,
        "images": f"{row.images:,}",
        "seconds": _seconds(data, f"{row.student}-{row.name}"),
    }


def _seconds(data: RunData, what: str) -> str:
    stages = (data.timing or {}).get("stages", {})
    found = [seconds for name, seconds in stages.items() if name.split("/", 1)[1] == what]
    return f"{sum(found) / len(found):.1f}" if found else ""


def _teachers(data: RunData) -> list[dict[str, str]]:
    teachers, metric = [], data.metrics[0]
    for teacher in (data.results or {}).get("teachers", []):
        values = list(values_of(teacher, metric.key).values())
        teachers.append(
            {
                "augmentation": teacher["augmentation"],
                "parameters": f"{teacher['parameters']:,}",
                "score": metric.shown(sum(values) / len(values)) if values else "no number",
            }
        )
    return teachers


def _others(data: RunData) -> dict[str, Any] | None:
    """Returns every arm's other metrics, mean and standard deviation; None where accuracy is the only one."""
    if data.results is None or tuple(data.metrics) == CLASS_METRICS:
        return None
    rows = []
    for arm in data.results["arms"]:
        values = [(info, list(values_of(arm, info.key).values())) for info in data.metrics[1:]]
        seeds = len(data.results["seeds"])
        cells = [with_spread(info, estimate(found), seeds) if found else "no number" for info, found in values]
        rows.append({"student": arm["student"], "name": arm["name"], "cells": cells})
    return {"headings": [info.axis for info in data.metrics[1:]], "rows": rows}


def _within(data: RunData) -> list[dict[str, Any]]:
    """Returns every arm's differences to its control within single seeds; none where no test measured them."""
    metric, rows = data.metrics[0], []
    for arm in (data.results or {}).get("arms", []):
        for seed, one in arm.get("within_seeds", {}).items():
            if one["mean"] is not None:
                difference = Estimate(one["mean"], None, one["low"], one["high"], one["p"], 1)
                cell = with_interval(metric, difference)
                rows.append({"student": arm["student"], "name": arm["name"], "seed": seed, "change": cell})
    return rows


def _retired(data: RunData) -> list[str]:
    """Returns a line for each member that a search gave up for another reason than a low score."""
    return [
        f"{name}, after {event['fraction']:.0%}: member {event['target']} was retired ({event['reason']}) and "
        + ("not replaced" if event["donor"] is None else f"replaced by a copy of member {event['donor']}")
        for name, lineage in data.lineages.items()
        for event in lineage["events"]
        if event["reason"] != "truncation"
    ]


def _schedules(data: RunData, roles: list[str]) -> Drawing | None:
    by_role = {
        role: [schedule for name, schedule in data.schedules.items() if name.endswith(f"/{role}-search")]
        for role in roles
    }
    by_role = {role: schedules for role, schedules in by_role.items() if schedules}
    return schedules_figure(by_role) if by_role else None


def _curves(data: RunData) -> Drawing | None:
    curves: dict[str, dict[str, list[list[dict[str, Any]]]]] = {}
    for name, record in data.records.items():
        student, _, arm = name.split("/", 1)[1].rpartition("-")
        if student and student != "teacher" and record:
            curves.setdefault(student, {}).setdefault(arm, []).append(record)
    return curves_figure(curves, data.metrics[0]) if curves else None


def _gradients(data: RunData, rows: list[ArmRow]) -> Drawing | None:
    """Draws one training of each student in which gradients were measured: of the first seed, its own schedule."""
    if data.results is None:
        return None
    arms = {(arm["student"], arm["name"]): arm for arm in data.results["arms"]}
    chosen: dict[str, list[dict[str, Any]]] = {}

    def rank(row: ArmRow) -> tuple[bool, bool]:
        return row.augmentation != "own", arms[row.student, row.name]["teacher_augmentation"] != "own"

    for row in sorted(rows, key=rank):
        record = data.records.get(f"seed{data.results['seeds'][0]}/{row.student}-{row.name}", [])
        if any("gradients" in entry for entry in record):
            chosen.setdefault(row.student, record)
    students = [student for student in dict.fromkeys(row.student for row in rows) if student in chosen]
    return gradients_figure({student: chosen[student] for student in students}) if students else None
