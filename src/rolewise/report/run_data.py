"""Reads a run folder for the report; what is missing is left out and named."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rolewise.errors import InputError
from rolewise.files import read_bytes, read_json, read_text
from rolewise.metric_info import CLASS_METRICS, MetricInfo, info_of
from rolewise.results_format import as_current
from rolewise.seals import DONE, PUT_BACK, check_file, is_early, product, read_made, top_product

#: What a run writes at its end.
PRODUCED = ("results.json", "timing.json", "previews.npz", "predictions.npz")
_LARGEST_ARRAYS = 2**30


@dataclass
class RunData:
    """The data of a report.

    Args:
        root: the run folder.
        name: the experiment's name.
        config: the text of config.yaml.
        results: content of results.json in its current form, or None while the run is not finished.
        timing: content of timing.json, or None.
        environment: content of environment.json.
        records: stage -> its epochs' records.
        lineages: stage -> content of lineage.json.
        schedules: stage -> content of schedule.json.
        scalars: stage -> content of scalars.json: (start fraction, values by name) of each segment.
        histograms: stage -> content of histograms.json.
        previews: name -> uint8 [n, C, H, W]; of texts n of them as text.
        predictions: answers to the test images, image by image; empty of an early run, or of another task.
        metrics: of the task, the one that is compared first.
        classes: names of the classes, in the order of the networks' outputs; empty for an early run.
        finished: names of the stages that have ended.
    """

    root: Path
    name: str
    config: str
    results: dict[str, Any] | None
    timing: dict[str, Any] | None
    environment: dict[str, Any]
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lineages: dict[str, dict[str, Any]] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    scalars: dict[str, list[Any]] = field(default_factory=dict)
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    previews: dict[str, np.ndarray] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    metrics: list[MetricInfo] = field(default_factory=lambda: [*CLASS_METRICS])
    classes: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)


def read_run(root: Path) -> RunData:
    """Reads a run folder.

    Raises:
        InputError: it is none, or a file in it is damaged; the file is named.
    """
    run = read_made(root / "run.json")
    if is_early(root / "run.json"):
        # Made when nothing had a digest: it is shown as it is.
        top: Callable[[Path], Path | None] = _there
        left: Callable[[Path, str], Path | None] = _left
    else:
        top, left = _checked_top(run.get("files")), product
    text = top(root / "config.yaml")
    results = _mapping(top(root / "results.json"))
    data = RunData(
        root=root,
        name=str(run.get("name", root.name)),
        config=read_text(text, "config") if text is not None else "",
        results=as_current(results) if results is not None else None,
        timing=_mapping(top(root / "timing.json")),
        environment=_mapping(top(root / "environment.json")) or {},
        classes=[str(name) for name in run.get("classes", [])],
    )
    if "metrics" in run:
        data.metrics = [info_of(values) for values in run["metrics"]]
    stages = root / "stages"
    for folder in sorted(path for path in stages.glob("seed*/*") if path.is_dir()):
        name = f"{folder.parent.name}/{folder.name}"
        if (folder / DONE).is_file():
            data.finished.add(name)
        if (schedule := left(folder, "schedule.json")) is not None:
            data.schedules[name] = read_json(schedule, "schedule")
        if (scalars := left(folder, "scalars.json")) is not None:
            data.scalars[name] = _segments(scalars)
        if (lineage := left(folder, "lineage.json")) is not None:
            data.lineages[name] = read_json(lineage, "lineage")
        elif (record := left(folder, "record.jsonl")) is not None:
            data.records[name] = _lines(record)
        histograms = _mapping(left(folder, "histograms.json"))
        if histograms is not None:
            data.histograms[name] = histograms
    data.previews = _arrays(top(root / "previews.npz"), "previews")
    data.predictions = _arrays(top(root / "predictions.npz"), "predictions")
    return data


def _arrays(path: Path | None, what: str) -> dict[str, np.ndarray]:
    if path is None:
        return {}
    with np.load(io.BytesIO(read_bytes(path, what, largest=_LARGEST_ARRAYS)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _left(folder: Path, name: str) -> Path | None:
    return _there(folder / name)


def _checked_top(files: Any) -> Callable[[Path], Path | None]:
    """Returns a function that finds a file at the top of a folder and checks its content by its recorded digest."""
    known = files if isinstance(files, dict) else {}

    def find(path: Path) -> Path | None:
        if not path.exists():
            return None
        if path.name in known:
            return check_file(path, known[path.name], PUT_BACK)
        return top_product(path) if path.name in PRODUCED else None

    return find


def _mapping(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    value = read_json(path, "a file of the run")
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a mapping; it is damaged")
    return value


def _segments(path: Path) -> list[Any]:
    value = read_json(path, "the searched scalars")
    if not isinstance(value, list) or not all(
        isinstance(part, list) and len(part) == 2 and isinstance(part[1], dict) for part in value
    ):
        raise InputError(f"{path} must hold segments of searched numbers; it is damaged")
    return value


def _lines(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in read_text(path, "record").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            # The last line of a run that is still going on, or was killed, may be half written.
            break
    return [entry for entry in entries if isinstance(entry, dict)]
