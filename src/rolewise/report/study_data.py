"""Reads a study folder for its page, also of a study that is not finished."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.csv_cells import as_cell, text_of
from rolewise.errors import InputError
from rolewise.files import read_json, read_text
from rolewise.metric_info import ACCURACY, CLASS_METRICS, MetricInfo, info_of
from rolewise.seals import PUT_BACK, check_file, is_early, read_made, top_product
from rolewise.statistics.columns import ATTACKED, COLUMNS
from rolewise.statistics.effects import Level

#: Columns of the table that are neither an axis nor a metric, and what they hold; the rest are metrics.
_KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("part", "cell", "student", "arm", "status", "reason"), str),
    **dict.fromkeys(("seed", "images", "parameters"), int),
    "distilled": lambda text: text == "true",
}
#: What every row has, whatever has become of it.
_NEEDED = ("part", "cell", "seed", "student", "arm", "distilled", "status")
#: What is measured, but is no result of its own.
_ASIDE = ("validation_", "teacher_")


@dataclass
class StudyData:
    """The data of a study's page.

    Args:
        root: the study folder.
        name: the study's name.
        parts: axes with their levels, by part.
        best: whether a best cell is to be named.
        questions: that the page answers, as the study's record holds them.
        rows: of the table, with ``seconds``.
        metrics: columns that were measured on the test set, the first metric of the task first.
        config: the text of study.yaml.
        environment: content of environment.json.
        metric: the first metric of the task.
        infos: all metrics of the task, the first one first.
    """

    root: Path
    name: str
    parts: dict[str, dict[str, list[Level]]]
    best: bool
    questions: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    metrics: list[str]
    config: str
    environment: dict[str, Any]
    metric: MetricInfo = ACCURACY
    infos: tuple[MetricInfo, ...] = CLASS_METRICS


def read_study(root: Path) -> StudyData:
    """Reads a study folder.

    Raises:
        InputError: it is none, or a file in it is damaged; the file is named.
    """
    record, early = read_made(root / "study.json"), is_early(root / "study.json")

    def find(name: str) -> Path:
        """Checks the content of a file, where the study has kept its digest."""
        if early or not (root / name).exists():
            return root / name
        if name in record.get("files", {}):
            return check_file(root / name, record["files"][name], PUT_BACK)
        return top_product(root / name)

    try:
        parts = {part["name"]: {axis: list(levels) for axis, levels in part["axes"]} for part in record["parts"]}
        infos = tuple(info_of(values) for values in record["metrics"]) if "metrics" in record else CLASS_METRICS
        metric = infos[0]
        rows, metrics = read_study_table(find("results.csv"), parts, metric.key)
        _add_seconds(find("timing.csv"), rows)
        name, best, questions = str(record["name"]), bool(record["best"]), list(record.get("questions", []))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the study in {root} is damaged or from another release ({error!r})") from error
    text, known = find("study.yaml"), find("environment.json")
    return StudyData(
        root=root,
        name=name,
        parts=parts,
        best=best,
        questions=questions,
        rows=rows,
        metrics=metrics,
        config=read_text(text, "study") if text.is_file() else "",
        environment=read_json(known, "the environment") if known.is_file() else {},
        metric=metric,
        infos=infos,
    )


def read_study_table(
    path: Path, parts: Mapping[str, Mapping[str, Sequence[Level]]], primary: str = "accuracy"
) -> tuple[list[dict[str, Any]], list[str]]:
    """Reads ``results.csv``: each value in the kind that it was written from, and the names of the metrics.

    Args:
        path: the file.
        parts: axes with their levels, by part.
        primary: the column of the task's first metric.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, "table"), newline=""))
        columns = [text_of(cell) for cell in reader.fieldnames or []]
        reader.fieldnames = columns
        lines = list(reader)
    except (InputError, csv.Error) as error:
        why = str(error).removeprefix(f"table {path} ")
        raise InputError(f"{path} cannot be read ({why}); run the study again to write it anew") from error
    axes = dict.fromkeys(axis for levels in parts.values() for axis in levels)
    if missing := [name for name in (*_KINDS, primary, *axes) if name not in columns]:
        raise InputError(f"{path} must have the columns {', '.join(missing)}; run the study again to write it anew")
    aside = [f"{role}{primary}" for role in _ASIDE]
    metrics = [name for name in columns if name not in _KINDS and name not in axes and name not in aside]
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            if None in line or None in line.values():
                raise ValueError(f"not {len(columns)} cells")
            levels = {axis: _by_cell(known) for axis, known in parts[text_of(line["part"])].items()}
            row = {name: levels[name][text] for name, text in line.items() if name in levels}
            row |= {name: _value(name, text) for name, text in line.items() if name not in axes}
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}:{number} is damaged ({error!r}); run the study again to write it anew") from error
        rows.append(row)
    return rows, sorted(metrics, key=lambda name: (name != primary, _place(name)))


def _place(metric: str) -> tuple[int, str, float]:
    """Returns the place of a metric: in the order of the measurements, then by attack and radius, then of the table."""
    if metric in COLUMNS:
        return list(COLUMNS).index(metric), "", 0.0
    found = ATTACKED.fullmatch(metric)
    return (len(COLUMNS), found[1], float(found[2])) if found else (len(COLUMNS) + 1, "", 0.0)


def _by_cell(levels: Sequence[Level]) -> dict[str, Level]:
    # Tables of an earlier release do not quote text.
    return {text_of(as_cell(level)): level for level in levels} | {as_cell(level): level for level in levels}


def _value(name: str, text: str) -> Any:
    if not text:
        if name in _NEEDED:
            raise ValueError(f"no {name}")
        return None
    value = _KINDS.get(name, float)(text_of(text))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {text}")
    return value


def _add_seconds(path: Path, rows: list[dict[str, Any]]) -> None:
    if not path.is_file():
        return
    lines = csv.DictReader(io.StringIO(read_text(path, "table of times"), newline=""))
    times = {tuple(text_of(one[key]) for key in ("cell", "seed", "student", "arm")): one["seconds"] for one in lines}
    for row in rows:
        text = times.get((row["cell"], str(row["seed"]), row["student"], row["arm"]))
        row["seconds"] = float(text) if text else None
