"""The facts at the top of a page: by which command, when, for how long, on what."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import yaml

from rolewise.report.run_data import RunData
from rolewise.results_format import example_of
from rolewise.words import counted, duration

#: A name, its value, and whether it is code on a line of its own.
Fact = tuple[str, str, bool]


def run_facts(data: RunData) -> list[Fact]:
    """Returns the facts of a run that are known.

    Args:
        data: of the run.
    """
    stages = (data.timing or {}).get("stages", {})
    took = f"{_spent(sum(stages.values()))} in {counted(len(stages), 'stage')}" if stages else ""
    results = data.results or {}
    test = (
        f"{counted(results['test_images'], example_of(results))}, opened once"
        if "test_images" in results
        else "still sealed"
    )
    rows = [*_started(data.root), ("Time of all processes", took, False), ("Data", _data_name(data.config), False)]
    rows.append(("Taught by others", _chains(data.config), False))
    return [fact for fact in [*rows, ("Test set", test, False), *machine_facts(data.environment)] if fact[1]]


def started_facts(root: Path) -> list[Fact]:
    """Returns the command that last worked on a folder, and when it began.

    Args:
        root: of a run or a study.
    """
    return [fact for fact in _started(root) if fact[1]]


def training_fact(seconds: list[float]) -> list[Fact]:
    """Returns the time of all trainings of students as a fact; none where no time was kept.

    Args:
        seconds: of each training.
    """
    return [("Time of the students' trainings", _spent(sum(seconds)), False)] if seconds else []


def command_time(root: Path) -> list[Fact]:
    """Returns the time since this process began to work on a folder; none where another one did.

    Args:
        root: the folder, which this process has locked.
    """
    try:
        note = json.loads((root / ".lock").read_text(encoding="utf-8"))
        began = datetime.datetime.strptime(note["since"], "%Y-%m-%d %H:%M:%S %z")
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if note.get("pid") != os.getpid():
        return []
    return [("Time of this command", _spent((datetime.datetime.now(began.tzinfo) - began).total_seconds()), False)]


def machine_facts(environment: dict[str, Any]) -> list[Fact]:
    """Returns the facts of the machine and of the versions that count.

    Args:
        environment: content of an environment.json.
    """
    packages = environment.get("packages", {})
    cores = environment.get("cores")
    where = [
        str(environment.get("gpu") or ""),
        counted(cores, "core") if isinstance(cores, int) else "",
        " with ".join(str(environment[name]) for name in ("processor", "instructions") if environment.get(name)),
    ]
    versions = [f"{name} {packages[name]}" for name in ("rolewise", "torch") if name in packages]
    rows = [("Machine", ", ".join(part for part in where if part), False), ("Versions", ", ".join(versions), False)]
    return [fact for fact in rows if fact[1]]


def _started(root: Path) -> list[Fact]:
    try:
        note = json.loads((root / ".lock").read_text(encoding="utf-8"))
        command, since = str(note["command"]), str(note["since"])
    except (OSError, ValueError, KeyError, TypeError):
        # A folder that was copied without its hidden files, or of an early release.
        return []
    return [("Command", command, True), ("Started", since.removesuffix(" +0000"), False)]


def _spent(seconds: float) -> str:
    return duration(seconds).removeprefix("about ")


def _chains(config: str) -> str:
    """Returns the students that learn from other students, or from several networks; empty where there is none."""
    try:
        students = yaml.safe_load(config)["students"]
        found = {str(one["name"]): one.get("teachers", ["teacher"]) for one in students}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(f"{name} by {' and '.join(map(str, by))}" for name, by in found.items() if by != ["teacher"])


def _data_name(config: str) -> str:
    try:
        section = yaml.safe_load(config)["data"]
        return str(section["name"])
    except (yaml.YAMLError, KeyError, TypeError):
        return ""
