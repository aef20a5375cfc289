"""Digests of what is left on disk: values that carry their own, and folders that list their files'.

A bit that flips in a finished file would otherwise be read as another number. JSON that this package reads again holds
the SHA-256 of its own values; that of the other files in its folder stands in it, and is checked when they are read.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.files import digest_of, read_json, sha256, write_bytes, write_json

#: Where a value keeps its own digest.
SEAL = "sha256"
#: Written last into a finished stage's folder.
DONE = "done.json"
#: How long a stage took, beside it.
SECONDS = "seconds.json"
#: Digests of what stands beside it at the top of a run's or a study's folder.
PRODUCTS = "products.json"
#: What to do where a file can be made again from what the stages left, or from what the user gives.
ANEW = "delete it and run the command that made this folder again to write it anew"
#: The same where the user may have another copy.
PUT_BACK = "put it back, or delete it and run the command that made this folder again"


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns plain values with their digest among them."""
    plain = {str(key): inner for key, inner in value.items() if key != SEAL}
    return {**plain, SEAL: _digest(plain)}


def is_whole(value: Any) -> bool:
    """Returns whether a value that was read from JSON is a mapping that holds its own digest."""
    return isinstance(value, dict) and value.get(SEAL) == digest_of({k: v for k, v in value.items() if k != SEAL})


def is_early(path: Path) -> bool:
    """Returns whether a folder's record is of the first version, when nothing had a digest; not where it is damaged."""
    try:
        value = read_json(path, "the record")
    except InputError:
        return False
    return isinstance(value, dict) and value.get("version") == 1 and SEAL not in value


def read_made(
    path: Path,
    what: str = "the record",
    remedy: str = "put it back, or start anew with --fresh (what is there is moved aside)",
) -> dict[str, Any]:
    """Reads a sealed value, ``run.json`` or ``study.json`` by default, also of the first version, without a digest.

    Args:
        path: the file.
        what: the kind of file for the error.
        remedy: the remedy where it is damaged.

    Raises:
        InputError: it is missing or damaged.
    """
    if is_early(path):
        return dict(read_json(path, what))
    return read_sealed(path, what, remedy)


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a mapping of plain values as JSON with its digest."""
    write_json(path, seal(value))


def read_sealed(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Reads a value that `write_sealed` wrote, without the digest; once while the file stays as it is.

    Args:
        path: the file.
        what: the kind of file for the error.
        remedy: the remedy where it is damaged: ``"delete the stage's folder to redo it"``.

    Raises:
        InputError: it is missing, damaged, edited, or of another kind.
    """
    try:
        state = path.stat()
        found = _read_sealed(path, state.st_mtime_ns, state.st_size, state.st_ino)
    except (OSError, InputError) as error:
        remedy = remedy if path.exists() else _of_missing(remedy)
        why = str(error).partition(f"{path} ")[2] or f"cannot be read ({getattr(error, 'strerror', error)})"
        raise InputError(f"{what} {path} {why.partition('; ')[0]}; {remedy}") from error
    # A copy, since what was read is kept.
    copy: dict[str, Any] = json.loads(found)
    return copy


@functools.lru_cache(maxsize=4096)
def _read_sealed(path: Path, modified: int, size: int, number: int) -> str:
    value = read_json(path, "file")
    if not is_whole(value):
        raise InputError(f"file {path} is damaged, or was edited: its digest does not fit its content")
    del value[SEAL]
    return json.dumps(value)


def _digest(value: Mapping[str, Any]) -> str:
    # Through JSON first, where numbers as keys become text: what is read back must give the same.
    return digest_of(json.loads(json.dumps(value, allow_nan=False)))


def digests(folder: Path, leave_out: Collection[str] = ()) -> dict[str, str]:
    """Returns the digest of every file in a folder and below it, by its path inside.

    Args:
        folder: a stage's, or another.
        leave_out: paths inside that are not wanted, and what is below them.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not {str(inside), inside.parts[0]} & set(leave_out) and path.suffix != ".tmp":
            found[inside.as_posix()] = sha256(path)
    return found


def check_file(path: Path, digest: object, remedy: str) -> Path:
    """Returns the path of a file whose content is what it was.

    Args:
        path: the file.
        digest: its recorded SHA-256.
        remedy: the remedy where it differs.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.exists():
        raise InputError(f"{path} is missing; {_of_missing(remedy)}")
    found = sha256(path)
    if found != digest:
        raise InputError(f"{path} is damaged, or was edited: it is not what was written there; {remedy}")
    return path


def _of_missing(remedy: str) -> str:
    """Returns the remedy for a file that is not there, and that nobody can delete."""
    return remedy.replace("delete it and ", "")


def finished(folder: Path) -> dict[str, Any] | None:
    """Returns the record of a finished stage, or None where the stage is not finished.

    Raises:
        InputError: its ``done.json`` is damaged.
    """
    path = folder / DONE
    if not path.exists():
        return None
    found = read_sealed(path, "the stage's summary", remedy_of(folder))
    if not isinstance(found.get("files"), dict):
        raise InputError(f"{path} must list the stage's files; {remedy_of(folder)}")
    return found


def product(folder: Path, name: str) -> Path | None:
    """Returns a file that a stage left, its content checked; None where the stage has left none of that name.

    Of a stage that is not finished nothing is known: its files are taken as they are.

    Raises:
        InputError: the file is damaged or gone.
    """
    done = finished(folder)
    if done is None:
        return folder / name if (folder / name).is_file() else None
    if name not in done["files"]:
        return None
    return check_file(folder / name, done["files"][name], remedy_of(folder))


def check_stage(folder: Path) -> None:
    """Makes sure that every file of a finished stage is what the stage left; of an unfinished one nothing is known.

    Raises:
        InputError: a file is damaged or gone.
    """
    done = finished(folder)
    if done is None:
        return
    for name, digest in done["files"].items():
        check_file(folder / name, digest, remedy_of(folder))
    if recorded_seconds(folder) is not None:
        for name, digest in read_sealed(folder / SECONDS, "the stage's seconds", _TIMES).get("files", {}).items():
            if (folder / name).exists():
                check_file(folder / name, digest, _TIMES)


def remedy_of(folder: Path) -> str:
    """Returns the remedy where a finished stage's file is damaged."""
    return f"delete the folder {folder.resolve()} and run the command that made it again to redo the stage"


def recorded_seconds(folder: Path) -> float | None:
    """Returns the seconds that a stage took, over all its processes; None where none are recorded.

    Raises:
        InputError: the file that holds it is damaged.
    """
    path = folder / SECONDS
    if not path.exists():
        return None
    seconds = read_sealed(path, "the stage's seconds", _TIMES).get("seconds")
    if not isinstance(seconds, (int, float)):
        raise InputError(f"{path} must hold a number of seconds; {_TIMES}")
    return float(seconds)


def write_product(path: Path, content: bytes) -> None:
    """Writes a file at the top of a run's or a study's folder, its digest into ``products.json`` beside it.

    The digest is written first, and the one before is kept: if the process is killed, the file has one of the two.
    """
    kept = path.parent / PRODUCTS
    known = read_sealed(kept, "the list of digests", ANEW) if kept.exists() else {}
    new, before = hashlib.sha256(content).hexdigest(), known.get(path.name, [])
    if new not in before[:1]:
        write_sealed(kept, {**known, path.name: [new, *before[:1]]})
    write_bytes(path, content)


def top_product(path: Path) -> Path:
    """Returns the path of a file that `write_product` wrote, its content checked.

    Raises:
        InputError: it is damaged, or ``products.json`` is.
    """
    known = read_sealed(path.parent / PRODUCTS, "the list of digests", ANEW).get(path.name, [])
    if not path.exists():
        raise InputError(f"{path} is missing; {_of_missing(ANEW)}")
    if sha256(path) not in known:
        raise InputError(f"{path} is damaged, or was edited: it is not what was written there; {ANEW}")
    return path


_TIMES = "delete it; nothing but the times that are shown depends on it"
