"""The status of the folder of a run, a study or a system: who works at it, how far it is, how long it still takes."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolewise.config import load_experiment_config
from rolewise.errors import InputError, RolewiseError
from rolewise.experiment.folder_damage import PIECES, SYSTEM, damage_of
from rolewise.experiment.lock import holder_of
from rolewise.experiment.run_state import part_done, read_folder_state, remaining_seconds
from rolewise.experiment.stage_graph import stages_of
from rolewise.seals import DONE

_RECORDS = {"run.json": "run", "study.json": "study", SYSTEM: "system"}


def folders_below(root: Path) -> list[Path]:
    """Returns a folder itself where it is a run's or a study's, else those of runs and studies in it, two levels deep.

    Args:
        root: the folder.

    Raises:
        InputError: there is none.
    """
    if what_of(root) is not None:
        return [root]
    inner = sorted(path for pattern in ("*", "*/*") for path in root.glob(pattern) if path.is_dir())
    # Cells of a study are run folders too.
    found = [path for path in inner if what_of(path) is not None and path.parent.name != "cells"]
    if not found and not root.exists():
        raise InputError(f"{root} must be the folder of a run or a study, or hold some, got nothing; check the path")
    if not found:
        raise InputError(
            f"{root} must be the folder of a run or a study, or hold some, got one without run.json, "
            "study.json or system.json; check the path"
        )
    return found


def what_of(root: Path) -> str | None:
    """Returns ``run``, ``study`` or ``system``; None where a folder is none of them.

    Args:
        root: the folder.
    """
    return next((what for record, what in _RECORDS.items() if (root / record).is_file()), None)


def status_of(root: Path) -> dict[str, Any]:
    """Returns the status of a run's or a study's folder.

    Args:
        root: the folder.

    Returns:
        ``folder``, ``what``, ``state`` (``running``, ``running elsewhere``, ``stopped``, ``failed``, ``killed``,
        ``part done``, ``finished``, ``idle`` where no process has left a word, or ``damaged`` where none works at it
        and a file that holds these is damaged), ``damaged`` (a sentence for each such file, with the remedy),
        ``process`` (its number, host, command, folder and start), ``reason``, ``ended``, ``stages`` (``all``, ``done``,
        ``failed``, ``left``), ``under_way`` (name, progress and start of each), and ``remaining_seconds``, None where
        it is unknown.
    """
    what, state, holder = what_of(root) or "run", read_folder_state(root) or {}, holder_of(root)
    names, done = _COUNTS[what](root)
    failed = len(list(root.glob("store/*/failed.json"))) if what == "study" else 0
    said = str(state.get("state", ""))
    now = _mapping(state.get("now"))
    under_way = [{"stage": name, **_mapping(entry)} for name, entry in now.items()]
    left = max(0, names - done - failed)
    damaged = damage_of(root, next(record for record, kind in _RECORDS.items() if kind == what))
    found = {
        "folder": str(root),
        "what": what,
        "state": "damaged" if damaged and holder is None else _state(said, state, holder is not None, left),
        "damaged": damaged,
        "process": _process(state, holder),
        "reason": str(state.get("reason", "")),
        "ended": state.get("ended"),
        "stages": {"all": names, "done": done, "failed": failed, "left": left},
        "under_way": under_way,
    }
    return {**found, "remaining_seconds": _remaining(state, now, found)}


def _state(said: str, state: Mapping[str, Any], held: bool, left: int) -> str:
    if held:
        return "running"
    if said == "running":
        # Where it works on another machine, its lock need not be seen here.
        return "killed" if state.get("host") == platform.node() else "running elsewhere"
    if said in ("finished", ""):
        return "part done" if left and said else "idle" if left else "finished"
    return said


def _process(state: Mapping[str, Any], holder: Mapping[str, Any] | None) -> dict[str, Any]:
    names = ("pid", "host", "command", "since", "folder")
    # The lock's note is the truth on who holds the folder; the state has the folder that the command was given in.
    known = state if holder is None or holder.get("pid") == state.get("pid") else holder
    return {name: known[name] for name in names if name in known}


def _of_run(root: Path) -> tuple[int, int]:
    """Returns the numbers of all stages and of those that are done."""
    try:
        names = [stage.name for stage in stages_of(load_experiment_config(root / "config.yaml"))]
    except (RolewiseError, OSError):
        names = [f"{path.parent.name}/{path.name}" for path in root.glob("stages/*/*")]
    return len(names), sum((root / "stages" / name / DONE).is_file() for name in names)


def _of_study(root: Path) -> tuple[int, int]:
    """Returns the numbers of all distinct stages and of those that are done."""
    keys = {link.resolve().name for link in root.glob("cells/*/stages/*/*")}
    return len(keys), sum((root / "store" / key / DONE).is_file() for key in keys)


def _of_system(root: Path) -> tuple[int, int]:
    """Returns the numbers of all pieces and of those that are done; the state lists those that were left."""
    done = {path.stem for path in root.glob(f"{PIECES}/*.json")}
    return len(done | {*_mapping((read_folder_state(root) or {}).get("stages"))}), len(done)


_COUNTS = {"run": _of_run, "study": _of_study, "system": _of_system}


def _remaining(state: Mapping[str, Any], now: Mapping[str, Any], found: Mapping[str, Any]) -> float | None:
    weights, started, updated = _mapping(state.get("stages")), state.get("started"), state.get("updated")
    if (
        found["state"] == "finished"
        or not isinstance(started, float)
        or not isinstance(updated, float)
        or not any(weights.values())
    ):
        return None
    over = state.get("done stages")
    done = [str(name) for name in over] if isinstance(over, list) else []
    parts = {name: part_done(str(_mapping(entry).get("text", ""))) for name, entry in now.items()}
    until = time.time() if found["state"] == "running" else updated
    try:
        return remaining_seconds(weights, done, parts, until - started, float(state.get("planned", 0)))
    except (TypeError, ValueError):  # what was edited by hand
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
