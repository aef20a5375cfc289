"""The study folder: bound to its study; cells as run folders whose stages lie in one store, by what they depend on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.begun_folder import holds_other_files
from rolewise.config.axis_levels import ScalarValue
from rolewise.config.experiment_values import dump_values, value_differences
from rolewise.config.study import Study
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.folder_binding import holds_work
from rolewise.experiment.input_digests import check_inputs, inputs_of, module_inputs, remember, streamed
from rolewise.experiment.run_folder import RunFolder, held, move_aside
from rolewise.experiment.run_record import environment, read_record
from rolewise.files import digest_of, sha256, write_json, write_text
from rolewise.metric_info import CLASS_METRICS
from rolewise.seals import ANEW, DONE, check_file, finished, read_sealed, remedy_of, write_sealed

VERSION = 3
#: Settings that change how fast a study runs, who else is told of it, or what its page asks of the table.
_ASIDE = ("workers", "questions", "track")
#: Why a stage failed.
FAILED = "failed.json"
#: What the study's record holds the digests of.
_MADE = ("study.yaml", "environment.json")


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
        """Returns the folder of a key's stage, which several cells may share."""
        return self.root / "store" / key

    def is_done(self, key: str) -> bool:
        """Returns whether the stage of that key has ended well.

        Raises:
            InputError: its ``done.json`` is damaged.
        """
        return self._finished(key) is not None

    def summary(self, key: str) -> dict[str, Any]:
        """Returns the summary of a key's finished stage."""
        found = self._finished(key)
        if found is None:
            raise InputError(
                f"{self.store(key) / DONE} is missing: that stage is not finished; run the study's command"
            )
        return found

    def _finished(self, key: str) -> dict[str, Any] | None:
        place = self.store(key)
        found = finished(place)
        if found is not None and found.get("key") != key:
            raise InputError(
                f"{place / DONE} must be of key {key}, got {found.get('key')!r}: it is from elsewhere; "
                + remedy_of(place)
            )
        return found

    def failure(self, key: str) -> str | None:
        """Returns the reason of a stage's failure; None where it did not fail."""
        path = self.store(key) / FAILED
        if not path.is_file():
            return None
        remedy = f"delete {path} to try that stage again"
        return str(read_sealed(path, "the record of a failure", remedy).get("reason", "unknown"))

    def fail(self, key: str, reason: str, trace: str = "") -> None:
        """Stores the reason of a stage's failure; the stage is not tried again without ``retry``."""
        write_sealed(self.store(key) / FAILED, {"reason": reason, "trace": trace})

    def forgive(self) -> None:
        """Forgets all failures, so that what failed is tried again."""
        for path in self.root.glob(f"store/*/{FAILED}"):
            path.unlink()


def open_study(root: Path, study: Study, *, fresh: bool = False, extend: bool = False) -> StudyFolder:
    """Makes a study folder, or finds the one that the same study made.

    A folder in which no work was done yet takes the study as it is now.

    Args:
        root: the folder; made with its parents where it is missing.
        study: the study.
        fresh: move what another study left there aside, to ``<root>.old-<k>``, instead of going on with it.
        extend: continue in the folder of another study; what both need is not run again.

    Raises:
        InputError: the folder belongs to another study (the difference is shown) or to none at all.
        RunError: the folder would be moved or bound anew, and another process is at work in it.
    """
    made = root / "study.json"
    # Before anything is made or moved: what cannot be read binds no folder.
    remember(made)
    read = study_inputs(study)
    known = _record_of(study, read)
    if fresh and (made.exists() or (root / "store").exists()):
        move_aside(root)
    if made.exists():
        _check_same(root, study, known, extend)
    elif (root / "store").exists():
        raise InputError(
            f"{made} is missing, so nobody knows what the stages beside it were made from; put it back, or start anew "
            "with --fresh (what is there is moved aside)"
        )
    elif holds_other_files(root, ("environment.json", "study.yaml")):
        raise InputError(
            f"--out must name a new folder or a study's, got {root}, which has other files; choose another"
        )
    if not made.exists() or not all((root / name).exists() for name in _MADE) or not _is_bound_to(made, known):
        # Where a process is at work, its table would not be that of the study that the folder says.
        with held(RunFolder(root)) if made.exists() else contextlib.nullcontext():
            if not (root / "environment.json").exists():
                write_json(root / "environment.json", environment(study.cells[0].config))
            write_text(root / "study.yaml", dump_values(study.values))
            marks = {state: mark for cell in study.cells for state, mark in streamed(cell.config).items()}
            # Written last: a folder with study.json is whole.
            write_sealed(made, {**known, "files": {name: sha256(root / name) for name in _MADE}, "streamed": marks})
    return StudyFolder(root)


def _record_of(study: Study, read: dict[str, str]) -> dict[str, Any]:
    return {"version": VERSION, "name": study.name, "study": _digest(study), **_layout(study), "read": read}


def check_study(root: Path, study: Study, *, extend: bool = False) -> None:
    """Makes sure that a study folder takes a study; nothing is written.

    Args:
        root: the study folder.
        study: the study.
        extend: take another study too.

    Raises:
        InputError: it belongs to another study, and ``extend`` is not set.
    """
    _check_same(root, study, _record_of(study, study_inputs(study)), extend)


def _is_bound_to(made: Path, wanted: dict[str, Any]) -> bool:
    try:
        known = read_record(made, VERSION)
    except InputError:
        return False  # no work was done in it, or it would have been refused
    return {name: value for name, value in known.items() if name not in ("files", "streamed")} == wanted


def study_inputs(study: Study) -> dict[str, str]:
    """Returns the SHA-256 of everything that a study reads, by what it is.

    Raises:
        InputError: something cannot be read; it is named.
    """
    found = module_inputs(*(one.name for one in study.measure))
    for cell in study.cells:
        found |= inputs_of(cell.config)
    return found


def _layout(study: Study) -> dict[str, Any]:
    """Returns the layout of the table: the grids, their axes and the cells' levels."""
    parts: list[dict[str, Any]] = []
    for part in study.parts:
        axes: list[tuple[str, list[ScalarValue]]] = [(axis, list(levels)) for axis, levels in part.axes.items()]
        parts.append({"name": part.name, "axes": axes, "cells": [[cell.name, cell.levels] for cell in part.cells]})
    known: dict[str, Any] = {
        "seeds": list(study.seeds),
        "measure": [one.plain for one in study.measure],
        "best": study.best,
        "questions": [one.plain for one in study.questions],
        "parts": parts,
    }
    metrics = builders.configured_task(study.cells[0].config).metrics
    if metrics != CLASS_METRICS:
        known["metrics"] = [info.as_json() for info in metrics]
    # Pairs become lists in JSON; comparing needs the same here.
    layout: dict[str, Any] = json.loads(json.dumps(known))
    return layout


def _binding(study_values: Any) -> dict[str, Any]:
    return {key: value for key, value in study_values.items() if key not in _ASIDE}


def _digest(study: Study) -> str:
    values = _binding(study.values)
    values["experiment"] = _binding(values["experiment"])
    return digest_of(values)


def _check_same(root: Path, study: Study, record: dict[str, Any], extend: bool) -> None:
    if not holds_work(root / "store"):
        return
    known = read_record(root / "study.json", VERSION)
    for name in known["files"]:
        if (root / name).exists():
            check_file(root / name, known["files"][name], ANEW)
    if extend:
        return
    if all(known.get(key) == value for key, value in record.items() if key not in (*_ASIDE, "read")):
        ways = (
            "put back what it was made from, choose another --out, go on by --extend (what reads it is run again, and "
            "nothing else), or start anew with --fresh (what is there is moved aside, not deleted)"
        )
        return check_inputs(root, known["read"], record["read"], ways)
    from rolewise.config.document import read_document

    lines = value_differences(read_document(root / "study.yaml").value, study.values)
    raise InputError(
        f"{root} was made by another study; it differs in\n  "
        + "\n  ".join(lines or ["(the order of its axes, or its study.yaml was edited afterwards)"])
        + "\nchoose another --out, keep what both need by --extend, or start anew with --fresh "
        "(the old study is moved aside, not deleted)"
    )
