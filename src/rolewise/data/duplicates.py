"""The same picture more than once: files with the same content, found by their digests."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import sha256

_GLANCE = 4096


def find_duplicates(files: Iterable[Path]) -> list[list[Path]]:
    """Returns groups of files with the same content, each in the given order.

    Only files of one size whose middle is the same are read whole, so that a large set costs a glance at each.

    Args:
        files: regular files; one that cannot be read belongs to no group.
    """
    groups: list[list[Path]] = [list(files)]
    for key in (lambda path: path.stat().st_size, _glance, sha256):
        groups = [part for group in groups for part in _divided(group, key)]
    return groups


def _divided(files: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    found: dict[Hashable, list[Path]] = defaultdict(list)
    for path in files:
        try:
            found[key(path)].append(path)
        except (OSError, InputError):
            continue
    return [group for group in found.values() if len(group) > 1]


def _glance(path: Path) -> bytes:
    with path.open("rb") as file:
        # The beginning of a picture is a head that many share; its middle is not.
        file.seek(max(0, path.stat().st_size // 2 - _GLANCE // 2))
        return hashlib.sha256(file.read(_GLANCE)).digest()
