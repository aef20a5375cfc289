"""The study folder: bound to its study; cells as run folders whose stages lie in one store, by what they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.config import digest, dump
from rolewise.config.axes import Scalar
from rolewise.config.study import Study
from rolewise.config.writing import dump_values, value_differences
from rolewise.errors import InputError
from rolewise.experiment.folder import VERSION as RUN_VERSION
from rolewise.experiment.folder import RunFolder, environment, held, holds_work, move_aside
from rolewise.files import read_json, write_json, write_text

VERSION = 1
#: Settings that change how fast a study runs, or what its page asks of the table, and nothing else.
_ASIDE = ("workers", "questions")


@dataclass(frozen=True)
class StudyFolder:
    """Names what lies where in a study folder.

    Args:
        root: the folder.
    """

    root: Path

    def cell(self, name: str) -> RunFolder:
        """Returns a cell's folder, which is a run folder."""
        return RunFolder(self.root / "cells" / name)

    def store(self, key: str) -> Path:
        """Returns where the stage of that key lies, whichever cells it belongs to."""
        return self.root / "store" / key

    def is_done(self, key: str) -> bool:
        """Returns whether the stage of that key has ended well."""
        return (self.store(key) / "done.json").is_file()

    def summary(self, key: str) -> dict[str, Any]:
        """Returns what the finished stage of that key said of itself."""
        return _mapping(self.store(key) / "done.json")

    def failure(self, key: str) -> str | None:
        """Returns why the stage of that key failed; None where it did not."""
        path = self.store(key) / "failed.json"
        return str(_mapping(path).get("reason", "unknown")) if path.is_file() else None

    def fail(self, key: str, reason: str, trace: str = "") -> None:
        """Keeps why a stage failed; it is not tried again unless that is asked for."""
        write_json(self.store(key) / "failed.json", {"reason": reason, "trace": trace})

    def forgive(self) -> None:
        """Forgets all failures, so that what failed is tried again."""
        for path in self.root.glob("store/*/failed.json"):
            path.unlink()


def open_study(root: Path, study: Study, *, fresh: bool = False, extend: bool = False) -> StudyFolder:
    """Makes a study folder, or finds the one that the same study made.

    A folder in which no work was done yet takes the study as it is now.

    Args:
        root: the folder; made with its parents where it is missing.
        study: the study.
        fresh: move what another study left there aside, to ``<root>.old-<k>``, instead of going on with it.
        extend: go on with another study than the one that made the folder; what both need is not run again.

    Raises:
        InputError: the folder belongs to another study (the difference is shown) or to none at all.
        RunError: the folder would be moved or bound anew, and another process is at work in it.
    """
    made = root / "study.json"
    known = {"version": VERSION, "name": study.name, "study": _digest(study), **_layout(study)}
    if fresh and made.exists():
        move_aside(root)
    if made.exists():
        _check_same(root, study, known, extend)
    elif (
        root.exists()
        and not (root / "study.yaml").exists()
        and any(e.name not in (".lock", "traceback.txt") for e in root.iterdir())
    ):
        raise InputError(
            f"--out must name a new folder or a study's, got {root}, which has other files; choose another"
        )
    if not made.exists() or read_json(made, "the study's record") != known:
        # Where a process is at work, its table would not be that of the study that the folder says.
        with held(RunFolder(root)) if made.exists() else contextlib.nullcontext():
            write_text(root / "study.yaml", dump_values(study.values))
            if not (root / "environment.json").exists():
                write_json(root / "environment.json", environment(study.cells[0].config))
            # Written last: a folder with study.json is whole.
            write_json(made, known)
    return StudyFolder(root)


def make_cell(folder: StudyFolder, name: str, config: Any, keys: dict[str, str]) -> None:
    """Makes a cell's run folder, with a link into the store for each of its stages."""
    run = folder.cell(name)
    record = {"version": RUN_VERSION, "name": config.name, "config": digest(config)}
    whole = run.root / "run.json"
    if not whole.is_file() or read_json(whole, "the cell's record") != record:
        write_text(run.root / "config.yaml", dump(config))
    for stage, key in keys.items():
        link, target = run.stage(stage), folder.store(key)
        target.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        relative = os.path.relpath(target, link.parent)
        if not link.is_symlink() or os.readlink(link) != relative:
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(relative, target_is_directory=True)
    if not whole.is_file() or read_json(whole, "the cell's record") != record:
        write_json(whole, record)


def _layout(study: Study) -> dict[str, Any]:
    """Returns what a reader of the table must know: the grids, their axes and the cells' levels."""
    parts: list[dict[str, Any]] = []
    for part in study.parts:
        axes: list[tuple[str, list[Scalar]]] = [(axis, list(levels)) for axis, levels in part.axes.items()]
        parts.append({"name": part.name, "axes": axes, "cells": [[cell.name, cell.levels] for cell in part.cells]})
    known = {
        "seeds": list(study.seeds),
        "measure": [one.plain for one in study.measure],
        "best": study.best,
        "questions": [one.plain for one in study.questions],
        "parts": parts,
    }
    # Pairs become lists in JSON; comparing needs the same here.
    layout: dict[str, Any] = json.loads(json.dumps(known))
    return layout


def _binding(study_values: Any) -> dict[str, Any]:
    return {key: value for key, value in study_values.items() if key not in _ASIDE}


def _digest(study: Study) -> str:
    values = _binding(study.values)
    values["experiment"] = _binding(values["experiment"])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check_same(root: Path, study: Study, record: dict[str, Any], extend: bool) -> None:
    known = _mapping(root / "study.json")
    if known.get("version") != VERSION:
        raise InputError(f"{root / 'study.json'} must have version {VERSION}; it is damaged or from another release")
    if (
        extend
        or not holds_work(root / "store")
        or all(known.get(key) == value for key, value in record.items() if key not in _ASIDE)
    ):
        return
    from rolewise.config.document import read_document

    lines = value_differences(read_document(root / "study.yaml").value, study.values)
    raise InputError(
        f"{root} was made by another study; it differs in\n  "
        + "\n  ".join(lines or ["(the order of its axes, or its study.yaml was edited afterwards)"])
        + "\nchoose another --out, go on with what both need by --extend, or start anew with --fresh "
        "(the old study is moved aside, not deleted)"
    )


def _mapping(path: Path) -> dict[str, Any]:
    value = read_json(path, "a file of the study")
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a mapping; it is damaged")
    return value
