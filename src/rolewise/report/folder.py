"""Reads a run folder for the report; what is missing is left out and named."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rolewise.errors import InputError
from rolewise.files import read_json


@dataclass
class RunData:
    """What a report is made of.

    Args:
        root: the run folder.
        name: the experiment's name.
        config: the text of config.yaml.
        results: content of results.json, or None while the run is not finished.
        timing: content of timing.json, or None.
        environment: content of environment.json.
        records: stage -> its epochs' records.
        lineages: stage -> content of lineage.json.
        schedules: stage -> content of schedule.json.
        histograms: stage -> content of histograms.json.
        previews: name -> uint8 [n, C, H, W].
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
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    previews: dict[str, np.ndarray] = field(default_factory=dict)


def read_run(root: Path) -> RunData:
    """Reads a run folder.

    Raises:
        InputError: it is none, or a file in it is damaged; the file is named.
    """
    run = read_json(root / "run.json", "the run's record")
    if not isinstance(run, dict):
        raise InputError(f"{root / 'run.json'} must hold a mapping; it is damaged")
    data = RunData(
        root=root,
        name=str(run.get("name", root.name)),
        config=(root / "config.yaml").read_text(encoding="utf-8") if (root / "config.yaml").is_file() else "",
        results=_optional(root / "results.json"),
        timing=_optional(root / "timing.json"),
        environment=_optional(root / "environment.json") or {},
    )
    stages = root / "stages"
    for folder in sorted(path for path in stages.glob("seed*/*") if path.is_dir()):
        name = f"{folder.parent.name}/{folder.name}"
        if (folder / "schedule.json").is_file():
            data.schedules[name] = read_json(folder / "schedule.json", "schedule")
        if (folder / "lineage.json").is_file():
            data.lineages[name] = read_json(folder / "lineage.json", "lineage")
        elif (folder / "record.jsonl").is_file():
            data.records[name] = _lines(folder / "record.jsonl")
        histograms = _optional(folder / "histograms.json")
        if histograms is not None:
            data.histograms[name] = histograms
    if (root / "previews.npz").is_file():
        with np.load(io.BytesIO((root / "previews.npz").read_bytes()), allow_pickle=False) as arrays:
            data.previews = {name: arrays[name] for name in arrays.files}
    return data


def _optional(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    value = read_json(path, "a file of the run")
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a mapping; it is damaged")
    return value


def _lines(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            # The last line of a run that is still going on, or was killed, may be half written.
            break
    return [entry for entry in entries if isinstance(entry, dict)]
