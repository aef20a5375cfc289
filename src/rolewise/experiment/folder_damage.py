"""Damaged files of a run's or a study's folder, of those by which its kind and progress are known; it only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.experiment.run_state import STATE
from rolewise.files import read_json
from rolewise.seals import ANEW, DONE, check_file, finished, is_early, read_made

#: The record of a system's folder, the folder of its pieces' results, and the remedies where they are damaged.
SYSTEM, PIECES = "system.json", "pieces"
SYSTEM_REMEDY = "put it back, or start again by --fresh (what is there is moved aside)"
PIECE_REMEDY = "delete it, and the same command does that piece again"


def read_system_record(path: Path) -> Any:
    """Reads the record of a system, which holds no digest: it is compared with the settings that are given.

    Raises:
        InputError: it is missing or no JSON.
    """
    try:
        return read_json(path, "the record of a system")
    except InputError as error:
        raise InputError(f"{str(error).partition('; ')[0]}; {SYSTEM_REMEDY}") from error


def read_piece(path: Path) -> dict[str, Any]:
    """Reads the result of a system's piece, of the first version without a digest.

    Raises:
        InputError: it is missing or damaged, or was edited.
    """
    return read_made(path, "the result of a piece", PIECE_REMEDY)


def damage_of(root: Path, record: str) -> list[str]:
    """Returns a sentence for each damaged file, with its path and the remedy; none where all are whole.

    What is checked is the folder's record, the settings that it was made with, the state of the work, and the summaries
    of finished stages; their weights are checked when they are read.

    Args:
        root: the folder.
        record: name of its record, ``run.json``, ``study.json`` or ``system.json``.
    """
    if record == SYSTEM:
        return [*_of_system(root), *_of_state(root / STATE)]
    return [*_of_origin(root, root / record), *_of_state(root / STATE), *_of_stages(root)]


def whole_origin(path: Path, *names: str) -> dict[str, Any]:
    """Returns the record of a folder, the files that it has digests of being whole, where they are there.

    Args:
        path: of ``run.json`` or ``study.json``.
        names: of the files that are checked; none named for all.

    Raises:
        InputError: one is damaged, or was edited.
    """
    record = read_made(path)
    files = record.get("files")
    for name, digest in (files if isinstance(files, Mapping) and not is_early(path) else {}).items():
        if (not names or name in names) and (path.parent / name).exists():
            check_file(path.parent / name, digest, ANEW)
    return record


def _of_origin(root: Path, path: Path) -> Iterator[str]:
    try:
        whole_origin(path)
    except InputError as error:
        yield str(error)


def _of_system(root: Path) -> Iterator[str]:
    for path in (root / SYSTEM, *sorted(root.glob(f"{PIECES}/*.json"))):
        try:
            read_system_record(path) if path.name == SYSTEM else read_piece(path)
        except InputError as error:
            yield str(error)


def _of_state(path: Path) -> Iterator[str]:
    remedy = "delete it: no result depends on it, and the next command that works here writes it anew"
    if not path.exists():
        return
    try:
        value = read_json(path, "the state")
    except InputError as error:
        yield f"{str(error).partition('; ')[0]}; {remedy}"
        return
    if not isinstance(value, dict) or not isinstance(value.get("state"), str):
        yield f"the state {path} must be a mapping with the state of the work, and is damaged; {remedy}"


def _of_stages(root: Path) -> Iterator[str]:
    for path in sorted((*root.glob(f"stages/*/*/{DONE}"), *root.glob(f"store/*/{DONE}"))):
        try:
            finished(path.parent)
        except InputError as error:
            yield str(error)
