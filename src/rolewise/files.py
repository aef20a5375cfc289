"""Files that are whole or not there: written to a temporary name, synced, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from rolewise.errors import InputError

#: What a user may give as a path.
AnyPath = str | os.PathLike[str]


def as_path(path: AnyPath, what: str = "path") -> Path:
    """Returns a path that was given as text or as a path.

    Args:
        path: what was given.
        what: what errors call it.

    Raises:
        InputError: it is neither, or empty text.
    """
    if isinstance(path, Path):
        return path
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise InputError(f"{what} must be a path, as text or as a pathlib.Path, got {path!r}")
    return Path(path)


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part of it."""
    path = as_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened the ordinary way, not by tempfile, so that the file gets the permissions that the user's umask gives.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last through a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_text(path: AnyPath, text: str) -> None:
    """Writes UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: AnyPath, value: Any) -> None:
    """Writes JSON with sorted keys: equal values give equal bytes. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: AnyPath, what: str) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        what: what it should be, for the error: ``"schedule"``.

    Raises:
        InputError: the file is missing, unreadable or not JSON.
    """
    path = as_path(path, what)
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} is not valid JSON ({error}); it is damaged or of another kind") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
