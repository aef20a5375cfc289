"""The stages of runs and studies in a store, each in a folder of its content key."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rolewise.config import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.role_section import section_of
from rolewise.files import AnyPath, write_bytes
from rolewise.jobs.store import StoredPath, check_reach, store_at
from rolewise.seals import DONE, is_whole

#: Where a search's own folder has the states of its members, by interval.
_STATE = re.compile(r"state/(\d+/.+)")
_CHECKPOINTS = "checkpoints/"
#: Why a stage failed stands in the folder of the study alone.
_FAILED = "failed.json"


@dataclass(frozen=True)
class StageStore:
    """Stages in a store. What has one key has the same bytes, so that any number of runs, or of studies, may share it.

    Args:
        place: the place of all of them.
    """

    place: StoredPath

    def members(self, key: str) -> StoredPath:
        """Returns the place of the states of a search's members, which workers write themselves."""
        return self.place / f"{key}-members"

    def take(self, key: str, folder: Path) -> None:
        """Copies what there is of a stage into a folder, in place of what the folder has; a finished stage stays.

        Args:
            key: content key of the stage.
            folder: of the stage.

        Raises:
            InputError: a file of a finished stage is damaged in the store.
        """
        if (folder / DONE).is_file():
            return
        place, names, marks = self.place / key, set((self.place / key).files()), dict[str, str]()
        if DONE in names:
            marks = _digests(place / DONE)
            names = {name for name in names if not name.startswith(_CHECKPOINTS)}
        if not names:
            return
        for name in _files_in(folder).keys() - names:
            (folder / name).unlink()
        for name in _in_order(names):
            with contextlib.suppress(FileNotFoundError):  # a worker that was given up has just removed it
                content = (place / name).read_bytes()
                if name in marks and hashlib.sha256(content).hexdigest() != marks[name]:
                    raise InputError(f"{place / name} is damaged; remove {place} to redo the stage")
                write_bytes(folder / name, content)

    def give(self, key: str, folder: Path) -> None:
        """Copies what a folder has of a stage into the store, where it is not finished yet.

        Args:
            key: content key of the stage.
            folder: of the stage.
        """
        place, here = self.place / key, _files_in(folder)
        there = set(place.files())
        if DONE in there:
            return
        for name in _in_order(here):
            if state := _STATE.fullmatch(name):
                (self.members(key) / state[1]).write_bytes(here[name].read_bytes())
            elif name not in there or not name.startswith(_CHECKPOINTS):
                (place / name).write_bytes(here[name].read_bytes())
        for name in there - here.keys():
            (place / name).unlink(missing_ok=True)

    def settle(self, stages: Iterable[tuple[str, Path]]) -> None:
        """Gives folders what the store has of their stages, and the store what a folder alone has.

        Args:
            stages: content key and folder of each.

        Raises:
            InputError: a file of a finished stage is damaged in the store.
        """
        known = set(self.place.names())
        for key, folder in stages:
            if key not in known or (folder / DONE).is_file():
                self.give(key, folder)
            else:
                self.take(key, folder)


def stage_store_at(address: AnyPath, part: Literal["runs", "studies"], workers: int, *, apart: bool) -> StageStore:
    """Returns the store at an address, which is written to, so that one that cannot be shows at once.

    Args:
        address: a folder, or an address of a store that fsspec knows, such as ``s3://bucket/run``.
        part: its part, as the record of a study's stage has the key.
        workers: their number.
        apart: whether they are in processes of their own even where there is one.

    Raises:
        InputError: the kind of store is unknown, its package is missing, workers do not reach it, or it cannot be
            written.
    """
    found = store_at(str(address))
    place = found if isinstance(found, StoredPath) else StoredPath(f"file://{found.absolute()}")
    check_reach(place, workers, apart=apart)
    try:
        (place / "rolewise.json").write_bytes(b'{"version": 1}\n')
    except Exception as error:
        cause = error.__cause__ or error
        raise InputError(
            f"states must be an address that can be written, got {address}: {type(cause).__name__}: {cause}"
        ) from error
    return StageStore(place / part)


def check_settled(config: ExperimentConfig) -> None:
    """Makes sure that nothing is left to be chosen by workers, which would each choose by their own times.

    Args:
        config: the experiment.

    Raises:
        InputError: a role's arithmetic is left open.
    """
    for role in ("teacher", *(student.name for student in config.students)):
        if names := section_of(config, role).train.open_arithmetic:
            raise InputError(
                f"{', '.join(names)} of {role} must be given where stages lie in a store, got auto: each worker would "
                "choose by its own times; set a value"
            )


def _files_in(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".tmp" and path.name != _FAILED
    }


def _in_order(names: Iterable[str]) -> list[str]:
    """Returns names in an order of writing in which what vouches for others comes after them."""
    return sorted(names, key=lambda name: (name == DONE, name.endswith(".pt"), name))


def _digests(done: StoredPath) -> dict[str, str]:
    with contextlib.suppress(ValueError):
        value = json.loads(done.read_bytes())
        if is_whole(value) and isinstance(value.get("files"), dict):
            return dict(value["files"])
    raise InputError(f"{done} is damaged; remove it to redo the stage")
