"""The run folder: made once, bound to its config, held by one process at a time."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rolewise.config import ExperimentConfig, differences, digest, dump, load
from rolewise.errors import InputError, RunError
from rolewise.experiment.lock import locked
from rolewise.files import read_json, write_json, write_text

VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """Names what lies where in a run folder.

    Args:
        root: the folder.
    """

    root: Path

    def stage(self, name: str) -> Path:
        """Returns the folder of one stage."""
        return self.root / "stages" / name

    def is_done(self, name: str) -> bool:
        """Returns whether a stage has ended; its ``done.json`` is written last."""
        return (self.stage(name) / "done.json").is_file()

    def summary(self, name: str) -> dict[str, Any]:
        """Returns what a finished stage said of itself."""
        value = read_json(self.stage(name) / "done.json", "the stage's summary")
        if not isinstance(value, dict):
            raise InputError(
                f"{self.stage(name) / 'done.json'} must hold a mapping; delete the stage's folder to redo it"
            )
        return value

    def config(self) -> ExperimentConfig:
        """Reads the config that the run was made with."""
        path = self.root / "config.yaml"
        try:
            state = path.stat()
        except OSError:
            return load(path)  # which says what is wrong
        return _config(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=256)
def _config(path: Path, modified: int, size: int) -> ExperimentConfig:
    # Every stage asks several times, and a study has hundreds of stages.
    return load(path)


def open_run(root: Path, config: ExperimentConfig, *, fresh: bool = False) -> RunFolder:
    """Makes a run folder, or finds the one that the same config made.

    A folder in which no work was done yet, such as that of a run that failed before its first stage, takes the config
    as it is now.

    Args:
        root: the folder; made with its parents where it is missing.
        config: the experiment.
        fresh: move what another run left there aside, to ``<root>.old-<k>``, instead of going on with it.

    Raises:
        InputError: the folder belongs to another config (the difference is shown) or to no run at all.
        RunError: the folder would be moved or take another config, and another process is at work in it.
    """
    run = root / "run.json"
    if fresh and run.exists():
        move_aside(root)
    if run.exists():
        _check_same(root, config)
        if read_json(run, "the run's record").get("config") != digest(config):
            unbind(root, "stages", "run.json")
    elif _holds_other_files(root):
        raise InputError(f"--out must name a new folder or a run's, got {root}, which has other files; choose another")
    root.mkdir(parents=True, exist_ok=True)
    if not run.exists():
        write_text(root / "config.yaml", dump(config))
        write_json(root / "environment.json", environment(config))
        # Written last: a folder with run.json is whole.
        write_json(run, {"version": VERSION, "name": config.name, "config": digest(config)})
    return RunFolder(root)


def existing_run(root: Path) -> RunFolder:
    """Returns the folder of a run that exists.

    Raises:
        InputError: it is no run folder.
    """
    if not (root / "run.json").is_file():
        raise InputError(
            f"{root} is no run folder (it has no run.json); make one with: rolewise run CONFIG --out {root}"
        )
    return RunFolder(root)


@contextlib.contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Holds the run folder for this process; the lock goes with the process, however it ends.

    Raises:
        RunError: another process holds it; the message names that process.
    """
    with locked(run.root):
        yield


def holds_work(folder: Path) -> bool:
    """Returns whether stages below a folder left anything to resume; empty files and settings alone are nothing."""
    return any(
        path.is_file() and path.name != "settings.json" and path.stat().st_size > 0 for path in folder.rglob("*")
    )


def unbind(root: Path, stages: str, record: str) -> None:
    """Frees a folder in which no work was done from its config, so that another config takes it.

    Args:
        root: a run's or a study's folder.
        stages: name of the folder that holds its stages.
        record: name of the file that binds it to its config.

    Raises:
        RunError: another process is at work in it.
    """
    with locked(root):
        if holds_work(root / stages):  # another process was faster
            raise RunError(f"{root} has just been used by another process; run the same command again")
        shutil.rmtree(root / stages, ignore_errors=True)
        (root / record).unlink(missing_ok=True)


def environment(config: ExperimentConfig) -> dict[str, Any]:
    """Returns what the report says of the machine and the software."""
    packages = {}
    for name in ("rolewise", "torch", "numpy", "scikit-learn", "pydantic", "safetensors"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "device": config.device,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": packages,
    }


def _check_same(root: Path, config: ExperimentConfig) -> None:
    known = read_json(root / "run.json", "the run's record")
    if not isinstance(known, dict) or known.get("version") != VERSION:
        raise InputError(f"{root / 'run.json'} must have version {VERSION}; it is damaged or from another release")
    if known.get("config") == digest(config) or not holds_work(root / "stages"):
        return
    lines = differences(load(root / "config.yaml"), config)
    raise InputError(
        f"{root} was made by another config; it differs in\n  "
        + "\n  ".join(lines or ["(its config.yaml was edited afterwards)"])
        + "\nchoose another --out, or start anew with --fresh (the old run is moved aside, not deleted)"
    )


def _holds_other_files(root: Path) -> bool:
    if not root.exists() or (root / "config.yaml").exists():
        return False
    # A traceback is of a config that named faulty code, before there was a run.
    return any(entry.name not in (".lock", "traceback.txt") for entry in root.iterdir())


def move_aside(root: Path) -> None:
    """Moves a run's or a study's folder to ``<root>.old-<k>``, the first k that is free.

    Raises:
        RunError: another process is at work in it.
    """
    number = 1
    while (target := root.with_name(f"{root.name}.old-{number}")).exists():
        number += 1
    with held(RunFolder(root)):
        root.rename(target)
