"""The same picture more than once: files with the same content, found by their digests."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from rolewise.data.data_checks import CopiesWarning, warn
from rolewise.errors import InputError
from rolewise.files import sha256
from rolewise.words import counted

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


def warn_of_copies(path: Path, parts: Sequence[Sequence[Path]]) -> None:
    """Warns of pictures that stand more than once: in both parts, or within a part that is divided later.

    Args:
        path: the folder that they are named below.
        parts: the files of the training part, and possibly those of the test part.
    """
    # A list may name one file several times, and in both parts.
    trained, tested = Counter(parts[0]), set(parts[1]) if len(parts) > 1 else set()
    groups = find_duplicates(file for part in parts for file in part)
    across = [
        group for group in groups if any(file in tested for file in group) and any(file in trained for file in group)
    ]
    if across:
        example = [next(file for file in across[0] if file in part) for part in (trained, tested)]
        warn(
            f"{path}: {counted(len(across), 'picture stands', 'pictures stand')} in the training and in the test part, "
            f"such as {few_paths(example, path)}; the test accuracy counts what was trained on: "
            "remove them from one part",
            CopiesWarning,
        )
    within = [group for group in groups if sum(trained[file] for file in set(group)) > 1]
    if within:
        example = [file for file in within[0] if file in trained][:2]
        warn(
            f"{path}: {counted(len(within), 'picture stands', 'pictures stand')} more than once among the images that "
            f"are divided, such as {few_paths(example, path)}; copies may be trained on and tested on: remove them",
            CopiesWarning,
        )


def few_paths(paths: Sequence[Path], path: Path) -> str:
    """Returns up to four paths below a folder, and the number of the others."""
    names = [str(one.relative_to(path)) if one.is_relative_to(path) else str(one) for one in paths]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
