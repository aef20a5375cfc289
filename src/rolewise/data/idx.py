"""The idx format of the MNIST family: a head of type and shape, then the numbers."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rolewise.data.data_checks import MOST_EXPANSION, check_kind, check_memory
from rolewise.errors import InputError

#: The third byte of the head, and what it stands for; only the first is read.
_TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes, plain or gzipped; its head is checked before its body is read.

    Args:
        path: the file; one that ends in ``.gz`` is unpacked.

    Returns:
        uint8, of the shape that the head gives.

    Raises:
        InputError: it is no regular file, is damaged, of another type, or larger than memory.
    """
    check_kind(path, "a file")
    zipped = path.suffix == ".gz"
    try:
        with path.open("rb") as plain:
            # The wrapper of an ordinary file reads what is asked for and no more, however much would come out.
            stream: BinaryIO = gzip.GzipFile(fileobj=plain) if zipped else plain  # type: ignore[assignment]
            shape = _shape(stream, path)
            size = math.prod(shape)
            _check_size(path, size, 4 + 4 * len(shape), zipped)
            content = bytearray(stream.read(size + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) != size:
        found = f"more than {size:,}" if len(content) > size else f"{len(content):,}"
        raise InputError(f"{path} must hold {size:,} bytes after its head, got {found}; it is damaged, fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(stream: BinaryIO, path: Path) -> tuple[int, ...]:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= 4:
        raise InputError(f"{path} must start as an idx file does, got {start!r}; it is damaged or of another format")
    if start[2] != 8:
        raise InputError(
            f"{path} must be an idx file of uint8, got {_TYPES[start[2]]}; convert it, or save its arrays as .npz"
        )
    head = stream.read(4 * start[3])
    if len(head) < 4 * start[3]:
        raise InputError(f"{path} ends within its head; it is damaged, fetch it again")
    return tuple(int.from_bytes(head[at : at + 4], "big") for at in range(0, len(head), 4))


def _check_size(path: Path, size: int, head: int, zipped: bool) -> None:
    """Refuses a head whose size the file cannot have, or memory cannot take, before room is made for it."""
    here = path.stat().st_size
    possible = here * MOST_EXPANSION if zipped else here - head
    if size > possible or (not zipped and size < possible):
        raise InputError(
            f"{path} must hold {size:,} bytes after its head, got a file of {here:,}; it is damaged, fetch it again"
        )
    check_memory(2 * size, f"{path}", "use a machine with more memory")
