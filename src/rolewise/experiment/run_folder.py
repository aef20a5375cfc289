"""The run folder: made once, bound to its config, held by one process at a time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.begun_folder import holds_other_files
from rolewise.config import ExperimentConfig, load_experiment_config
from rolewise.errors import InputError
from rolewise.experiment.folder_binding import bind, holds_work, is_bound_to, unbind
from rolewise.experiment.folder_damage import SYSTEM
from rolewise.experiment.input_digests import inputs_of, remember
from rolewise.experiment.lock import holder_of, locked
from rolewise.experiment.own_code import import_operations
from rolewise.experiment.replaced_stages import REPLACED
from rolewise.experiment.run_record import MADE, READ, read_record, write_record
from rolewise.experiment.run_state import has_failed
from rolewise.files import read_json
from rolewise.foreign_code import search_in
from rolewise.seals import ANEW, DONE, check_file, finished, product, remedy_of


@dataclass(frozen=True)
class RunFolder:
    """Names what lies where in a run folder, and checks what is read there.

    Args:
        root: the folder.
    """

    root: Path

    def stage(self, name: str) -> Path:
        """Returns the folder of one stage."""
        return self.root / "stages" / name

    def is_done(self, name: str) -> bool:
        """Returns whether a stage has ended; its ``done.json`` is written last.

        Raises:
            InputError: it is damaged.
        """
        return self._finished(name) is not None

    def summary(self, name: str) -> dict[str, Any]:
        """Returns the summary of a finished stage.

        Raises:
            InputError: it is not finished, or its summary is damaged.
        """
        found = self._finished(name)
        if found is None:
            raise InputError(f"{self.stage(name) / DONE} is missing: the stage is not finished; run the run's command")
        return found

    def _finished(self, name: str) -> dict[str, Any] | None:
        folder = self.stage(name)
        found = finished(folder)
        # In a study the folder is a link into its store, where cells share stages that each calls as it likes.
        known, wanted = ("key", folder.resolve().name) if folder.is_symlink() else ("stage", name)
        if found is not None and found.get(known) != wanted:
            raise InputError(
                f"{folder / DONE} must be of {known} {wanted}, got {found.get(known)!r}: it is from elsewhere; "
                + remedy_of(folder)
            )
        return found

    def product(self, name: str, file: str) -> Path | None:
        """Returns a file that a stage left, its content checked against its ``done.json``; None where there is none.

        Raises:
            InputError: the file is damaged or gone.
        """
        self._finished(name)
        return product(self.stage(name), file)

    def needed(self, name: str, file: str) -> Path:
        """Returns a file that a stage must have left, as `product` does.

        Raises:
            InputError: it is damaged or gone, or the finished stage has not left it.
        """
        path = self.product(name, file)
        if path is None and self.is_done(name):
            folder = self.stage(name)
            raise InputError(f"{folder / DONE} must list {file}, which the stage leaves; {remedy_of(folder)}")
        return path or self.stage(name) / file

    def record(self) -> dict[str, Any]:
        """Returns the record of the run's config, environment and inputs.

        Raises:
            InputError: the record is damaged, or of an earlier version.
        """
        return read_record(self.root / "run.json", *READ)

    def config(self) -> ExperimentConfig:
        """Reads the config that the run was made with.

        Raises:
            InputError: it is not what was written there.
        """
        path = check_file(self.root / "config.yaml", self.record()["files"]["config.yaml"], ANEW)
        state = path.stat()
        return _config(path, state.st_mtime_ns, state.st_size)

    def environment(self) -> dict[str, Any]:
        """Returns the environment that the run was made in, checked as its config is; empty where there is none."""
        # A study keeps one for all its cells.
        path, digest = self.root / "environment.json", self.record()["files"].get("environment.json")
        known = read_json(check_file(path, digest, ANEW), "the run's environment") if path.exists() else {}
        return known if isinstance(known, dict) else {}


@functools.lru_cache(maxsize=256)
def _config(path: Path, modified: int, size: int) -> ExperimentConfig:
    # Every stage reads it several times, and a study has hundreds of stages.
    config = load_experiment_config(path)
    import_operations(config)
    return config


def open_run(root: Path, config: ExperimentConfig, *, fresh: bool = False, extend: bool = False) -> RunFolder:
    """Makes a run folder, or finds the one that the same config and the same inputs made.

    A folder in which no work was done yet, such as that of a run that failed before its first stage, takes the config
    as it is now; one in which no stage was made from an input that has changed since takes the input.

    Args:
        root: the folder; made with its parents where it is missing.
        config: the experiment.
        fresh: move what another run left there aside, to ``<root>.old-<k>``, instead of going on with it.
        extend: keep what still holds of the run of another config (see `rolewise.experiment.extension`).

    Raises:
        InputError: the folder belongs to another config or to other inputs (the difference is shown) or to no run at
            all; or an input cannot be read.
        RunError: the folder would be moved or take another config, and another process is at work in it.
    """
    run = root / "run.json"
    # Before anything is made or moved: what cannot be read binds no folder.
    remember(run)
    read = inputs_of(config)
    if fresh and (run.exists() or (root / "stages").exists()):
        move_aside(root)
    if run.exists():
        bound = is_bound_to(root, config, read)
        if not bound and (extend or _failed_early(root)) and _holds_anything(root):
            from rolewise.experiment.extension import extend as extend_by  # which needs what is above

            extend_by(root, config, read)
        elif holds_work(root / "stages"):
            bind(root, config, read)
        elif not bound:
            unbind(root, "stages", "run.json", *MADE)
    elif holds_work(root / "stages"):
        raise InputError(
            f"{run} is missing, so nobody knows what the stages beside it were made from; put it back, or start anew "
            "with --fresh (what is there is moved aside)"
        )
    elif holds_other_files(root, ("environment.json", "config.yaml")):
        raise InputError(f"--out must name a new folder or a run's, got {root}, which has other files; choose another")
    root.mkdir(parents=True, exist_ok=True)
    if not run.exists() or not all((root / name).exists() for name in MADE):
        write_record(root, config, read)
    if (root / REPLACED).is_dir():
        from rolewise.experiment.extension import take_back_stages

        take_back_stages(root, config)
    return RunFolder(root)


def _holds_anything(root: Path) -> bool:
    return holds_work(root / "stages") or (root / REPLACED).is_dir()


def _failed_early(root: Path) -> bool:
    """Returns whether a run failed before its first stage was finished: it does not hold its folder."""
    return has_failed(root, holder_of(root) is not None) and not any(root.glob(f"stages/*/*/{DONE}"))


def existing_run(root: Path) -> RunFolder:
    """Returns the folder of a run that exists.

    Raises:
        InputError: it is no run folder.
    """
    if not (root / "run.json").is_file():
        raise InputError(f"{root} is no run folder ({_instead_of_a_run(root)}")
    _search_modules(root)
    return RunFolder(root)


def _instead_of_a_run(root: Path) -> str:
    """Returns the reason why a folder is no run's, and the remedy."""
    if (root / "study.json").is_file():
        return f"it is a study's); give one of its cells, each of which is a run: {root / 'cells'}/NAME"
    if (root / SYSTEM).is_file():
        return f"it is a system's); see {root / 'report.html'} and results.csv, which rolewise system writes anew"
    if root.is_file():
        return "it is a file); give the folder that rolewise run CONFIG --out DIR made"
    if root.is_dir() and any(root.iterdir()):
        return "it has no run.json); give the folder that rolewise run CONFIG --out DIR made"
    return f"it has no run.json); make one with: rolewise run CONFIG --out {root}"


def _search_modules(root: Path) -> None:
    """Lets a user's own modules be found where they were when the run was made, and in the current folder."""
    folders: list[str] = []
    with contextlib.suppress(InputError):  # whoever needs the environment says what is wrong with it
        known = read_json(root / "environment.json", "the run's environment")
        folders = [str(folder) for folder in known.get("modules", [])] if isinstance(known, dict) else []
    search_in(Path.cwd(), *folders)


@contextlib.contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Holds the run folder for this process; the lock goes with the process, however it ends.

    Raises:
        RunError: another process holds it; the message names that process.
    """
    with locked(run.root):
        yield


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
