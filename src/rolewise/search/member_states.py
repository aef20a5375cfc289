"""Members' states in a folder or a store: one file for each, sealed by a digest, so that no damage goes unnoticed."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import InputError
from rolewise.files import naming
from rolewise.jobs.store import StatePath, StoredPath
from rolewise.sealed_bytes import seal_bytes, unseal_bytes
from rolewise.tensors import read_head_first


def dump_state(state: dict[str, Any]) -> bytes:
    """Returns a state as the bytes of a file that `torch.load` reads, with a digest behind it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return seal_bytes(buffer.getvalue())


def parse_state(content: bytes) -> dict[str, Any]:
    """Returns the state in the bytes that `dump` made. Executes nothing that the bytes may hold.

    Raises:
        InputError: the bytes are not whole, or hold something other than tensors and plain containers.
    """
    inner = unseal_bytes(content)
    try:
        # The zip reader of torch takes no notice of wrong checksums, hence the digest; weights_only keeps code out.
        state = torch.load(io.BytesIO(inner), weights_only=True, map_location="cpu")
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            "a member's state_dict must hold only tensors, numbers, text and plain containers; "
            f"take other objects out of it ({reason})"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"a member's state_dict must return a dict, got {type(state).__name__}")
    return state


def write_state(path: StatePath, content: bytes, *, sync: bool) -> None:
    """Writes a state under a temporary name, then renames it.

    Args:
        path: the file.
        content: the result of `dump_state`.
        sync: wait until it would outlast a power cut. A killed process loses nothing either way.
    """
    if isinstance(path, StoredPath):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of this writing alone: a worker that was given up may still write, elsewhere under the same number.
    temporary = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
    with naming(path):
        with temporary.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)


def read_state(path: StatePath) -> dict[str, Any]:
    """Reads a state that `write_state` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    content = _content(path)
    try:
        return parse_state(content)
    except InputError as error:
        raise InputError(f"checkpoint {path}: {error}") from error


def check_state(path: StatePath) -> None:
    """Makes sure that a state is whole, without loading it.

    Raises:
        InputError: the file is missing or damaged.
    """
    content = _content(path)
    try:
        unseal_bytes(content)
    except InputError as error:
        raise InputError(f"checkpoint {path}: {error}") from error


def interval_folder(folder: StatePath, interval: int) -> StatePath:
    """Returns the folder for the states after ``interval`` intervals."""
    return folder / f"{interval:06d}"


def state_in(folder: StatePath, member: int) -> StatePath:
    """Returns the file for a member's state in an interval's folder."""
    return folder / f"member-{member:03d}.pt"


def paused_in(folder: StatePath, member: int) -> StatePath:
    """Returns the file for the state of a member that was stopped in the middle of the interval of a folder."""
    return folder / f"paused-{member:03d}.pt"


def state_path(folder: StatePath, interval: int, member: int) -> StatePath:
    """Returns the file for a member's state after ``interval`` intervals."""
    return state_in(interval_folder(folder, interval), member)


def stored_intervals(folder: StatePath) -> list[int]:
    """Returns the intervals after which there are states, ascending."""
    if isinstance(folder, StoredPath):
        return [int(name) for name in folder.names() if name.isdigit()]
    return sorted(int(entry.name) for entry in folder.glob("[0-9]*") if entry.name.isdigit() and entry.is_dir())


def discard_states(folder: StatePath, keep: set[int]) -> None:
    """Removes the states of every interval but those in ``keep``."""
    for interval in stored_intervals(folder):
        place = interval_folder(folder, interval)
        if interval not in keep and isinstance(place, StoredPath):
            place.remove_folder()
        elif interval not in keep and isinstance(place, Path):
            shutil.rmtree(place, ignore_errors=True)


def _content(path: StatePath) -> bytes:
    if isinstance(path, Path):
        return read_head_first(path, "checkpoint")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"checkpoint {path} cannot be read: No such file; it was removed") from error
