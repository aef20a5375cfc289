"""Files that are whole or not there: written to a temporary name, synced, then renamed; read where they are regular."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rolewise.errors import InputError

#: What a user may give as a path.
AnyPath = str | os.PathLike[str]


def as_path(path: AnyPath, what: str = "path") -> Path:
    """Returns a path that was given as text or as a path.

    Args:
        path: the argument.
        what: its name in errors.

    Raises:
        InputError: it is neither, or empty text.
    """
    if isinstance(path, Path):
        return path
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise InputError(f"{what} must be a path, as text or as a pathlib.Path, got {path!r}")
    return Path(path)


#: Bytes of a JSON file, a table or a log, at the most. What is larger is none of ours, and would fill the memory.
LARGEST_TEXT = 64 * 2**20

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives errors of the disk that come up inside the name of their file, which a full disk's do not have."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part of it.

    Raises:
        OSError: the disk is full, or the place cannot be written; the file is named.
    """
    path = as_path(path)
    with naming(path):
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
            with contextlib.suppress(OSError):  # the first error is the one to tell
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
    """Writes UTF-8 text as `write_bytes` does; bytes of a file's name that are no UTF-8 as Python shows them."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: AnyPath, value: Any) -> None:
    """Writes JSON with sorted keys: equal values give equal bytes. NaN is refused."""
    write_bytes(path, as_json(value))


def number_or_null(number: float | None) -> float | None:
    """Returns a number as JSON has it: None where it is not finite, as of a metric that could not be measured."""
    return number if number is not None and math.isfinite(number) else None


def as_json(value: Any) -> bytes:
    """Returns a value as the JSON that `write_json` writes."""
    # Piece by piece: all pieces of a large value at once would take many times the room of its text.
    text = io.StringIO()
    json.dump(value, text, indent=2, sort_keys=True, allow_nan=False)
    return (text.getvalue() + "\n").encode()


def kind_of(path: Path) -> str | None:
    """Returns ``a file``, ``a folder``, ``a pipe``, ``a device`` or ``a socket``; None where a path leads nowhere."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "something else")
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def open_regular(path: Path, what: str) -> BinaryIO:
    """Opens a file to be read; pipes, devices and folders, which may have no end, are refused.

    Args:
        path: the file.
        what: the kind of file for the error: ``"schedule"``.

    Raises:
        InputError: it is missing, cannot be read, or is no regular file.
    """
    try:
        # Asked before it is opened, since opening a pipe waits for a writer; and again of what was opened.
        _check_regular(os.stat(path), path, what)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        file = os.fdopen(handle, "rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {path} cannot be read: {why}; check the path") from error
    try:
        _check_regular(os.fstat(handle), path, what)
    except InputError:
        file.close()
        raise
    return file


def _check_regular(state: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "something else")
        raise InputError(f"{what} {path} must be a regular file, got {kind}; check the path")


def read_bytes(path: Path, what: str, *, largest: int = LARGEST_TEXT) -> bytes:
    """Reads a regular file of a bounded size.

    Args:
        path: the file.
        what: the kind of file for the error.
        largest: bytes, at the most.

    Raises:
        InputError: it is missing, cannot be read, is no regular file, or is too large.
    """
    with open_regular(path, what) as file:
        try:
            content = file.read(largest + 1) if os.fstat(file.fileno()).st_size <= largest else b""
            size = max(len(content), os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise InputError(f"{what} {path} cannot be read: {error.strerror or error}; check the disk") from error
    if size > largest:
        raise InputError(f"{what} {path} must be at most {largest:,} bytes, got {size:,}; it is of another kind")
    return content


def read_text(path: Path, what: str) -> str:
    """Reads UTF-8 text as `read_bytes` does.

    Raises:
        InputError: as there, or it is no UTF-8.
    """
    try:
        return read_bytes(path, what).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} must be UTF-8 text ({error}); it is damaged or of another kind") from error


def read_json(path: AnyPath, what: str, *, largest: int = LARGEST_TEXT) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        what: the kind of file for the error: ``"schedule"``.
        largest: bytes, at the most.

    Raises:
        InputError: the file is missing, unreadable, no regular file, too large or not JSON.
    """
    path = as_path(path, what)
    content = read_bytes(path, what, largest=largest)
    try:
        # Files of other programs may begin with the mark of UTF-8.
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} is not valid JSON ({error}); it is damaged or of another kind") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def digest_of(value: Any) -> str:
    """Returns the SHA-256 of a plain value, in hexadecimal: that of its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: Path, what: str = "file") -> str:
    """Returns the SHA-256 of a regular file's content in hexadecimal; read once while the file stays as it is.

    Raises:
        InputError: it is missing, cannot be read or is no regular file.
    """
    with open_regular(path, what) as file:
        state = os.fstat(file.fileno())
    return _sha256(path, what, state.st_mtime_ns, state.st_size, state.st_ino)


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, what: str, modified: int, size: int, number: int) -> str:
    digest = hashlib.sha256()
    with open_regular(path, what) as file, naming(path):
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
