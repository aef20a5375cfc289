"""The numbers of a run or a study in its folder: what each stage has recorded, and what the test gave."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rolewise.csv_cells import text_of
from rolewise.errors import InputError
from rolewise.files import read_bytes, read_json, read_text
from rolewise.seals import finished

#: What a line has beside its numbers.
_ASIDE = ("epoch", "interval", "sha256", "events", "genomes", "scores")
#: Columns of a study's table that are no test's.
_LABELS = ("part", "cell", "seed", "student", "arm", "distilled", "status", "reason", "images", "parameters")


def is_study_folder(root: Path) -> bool:
    """Returns whether a folder is a study's."""
    return (root / "study.json").is_file()


def stage_folders(root: Path) -> dict[str, Path]:
    """Returns the folders of all stages that have begun, by the stage's name.

    Of a study the name has the cell in front; a stage that several cells share is listed once, in the first.
    """
    if not is_study_folder(root):
        return dict(_stages_in(root, ""))
    found: dict[Path, str] = {}
    for cell in sorted((root / "cells").glob("*")):
        for name, folder in _stages_in(cell, f"{cell.name}/"):
            found.setdefault(folder.resolve(), name)
    return {name: folder for folder, name in found.items()}


def _stages_in(run: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for folder in sorted((run / "stages").glob("*/*")):
        yield f"{prefix}{folder.parent.name}/{folder.name}", folder


def whole_lines(folder: Path) -> list[bytes]:
    """Returns the lines of a stage's record, without a last one that is half written."""
    path = folder / "record.jsonl"
    if not path.is_file():
        return []
    return [line for line in read_bytes(path, "record").splitlines(keepends=True) if line.endswith(b"\n")]


def numbers_of(line: bytes, number: int) -> tuple[int, dict[str, float]]:
    """Returns the step and the finite numbers of a line of a record; no numbers of a line that cannot be read.

    Args:
        line: the line: of an epoch of a training, or of an interval of a search.
        number: its number from 1, for a line that names no step.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return number, {}
    step: Any = entry.get("epoch", entry.get("interval", number))
    values = dict(_numbers({key: value for key, value in entry.items() if key not in _ASIDE}, ""))
    scores = [score for score in entry.get("scores") or () if _is_number(score)]
    if scores:
        values |= {"best_score": max(scores), "mean_score": sum(scores) / len(scores)}
    return int(step) if _is_number(step) else number, values


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}/{key}" if name else str(key))
    elif _is_number(value):
        yield name, float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def numbers_on_test(root: Path) -> dict[str, dict[str, float]]:
    """Returns the metrics on the test set of every stage that has been tested, named ``test/accuracy`` and so on."""
    if is_study_folder(root):
        return _of_table(root)
    found: dict[str, dict[str, float]] = {}
    for folder in sorted((root / "stages").glob("*/test")):
        for stage, metrics in ((finished(folder) or {}).get("test") or {}).items():
            found[stage] = {f"test/{key}": float(value) for key, value in metrics.items() if _is_number(value)}
    return found


def _of_table(root: Path) -> dict[str, dict[str, float]]:
    labels = {folder.resolve(): name for name, folder in stage_folders(root).items()}
    found: dict[str, dict[str, float]] = {}
    for row in table_rows(root):
        if row.get("status") != "done":
            continue
        folder = root / "cells" / row["cell"] / "stages" / f"seed{row['seed']}" / f"{row['student']}-{row['arm']}"
        # Behind the reason stand measurements; in front of it the levels of the axes.
        measured = list(row)[list(row).index("reason") + 1 :]
        names = [name for name in measured if name not in _LABELS and not name.startswith(("validation_", "teacher_"))]
        numbers = {f"test/{name}": value for name in names if (value := _as_number(row[name])) is not None}
        if (label := labels.get(folder.resolve())) is not None:
            found[label] = numbers
    return found


def table_rows(root: Path) -> list[dict[str, str]]:
    """Returns the rows of a study's table as text by column; none where there is no table yet."""
    path = root / "results.csv"
    if not path.is_file():
        return []
    with io.StringIO(read_text(path, "table"), newline="") as text:
        return [{key: text_of(cell) for key, cell in row.items()} for row in csv.DictReader(text)]


def _as_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def results_of(root: Path) -> Mapping[str, Any]:
    """Returns the results of what is finished: ``results.json`` of a run, the ``rows`` of a study; else nothing."""
    if is_study_folder(root):
        rows = table_rows(root)
        return {"rows": rows} if rows and all(row.get("status") in ("done", "failed") for row in rows) else {}
    path = root / "results.json"
    try:
        found = read_json(path, "results") if path.is_file() else {}
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}
