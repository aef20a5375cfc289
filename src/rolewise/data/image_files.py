"""The image files of a folder, and those that are left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import kind_of

#: Endings of files that are read as images.
ENDINGS = frozenset(
    f".{ending}"
    for kind in (
        "png apng",
        "jpg jpeg jpe jfif jp2",
        "webp avif",
        "bmp dib",
        "gif",
        "pbm pgm ppm pnm",
        "tif tiff tga ico",
    )
    for ending in kind.split()
)
#: Folders that systems and archives put beside images: previews, resource forks, wastebaskets.
_SYSTEM = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "__pycache__", "lost+found"}


@dataclass
class Listing:
    """The content of a folder.

    Args:
        images: files with an ending of `ENDINGS`, at any depth, sorted.
        left_out: the number of other files, by ending or kind.
    """

    images: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is the system's business and not the user's."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders in a folder, sorted; hidden ones are left out."""
    return sorted(Path(entry.path) for entry in _entries(folder) if not is_hidden(entry.name) and entry.is_dir())


def holds_images(folder: Path) -> bool:
    """Returns whether a folder holds an image itself, not in a folder below it."""
    return loose_images(folder) > 0


def list_images(folder: Path) -> Listing:
    """Lists a class's images at every depth; what is hidden is skipped, a folder called ``old.jpg`` is a folder.

    Raises:
        InputError: a pipe, a device or a socket is called as an image is, or a folder cannot be read.
    """
    found = Listing()
    for entry in _walk(folder, found.left_out, set()):
        path, ending = Path(entry.path), _ending(entry.name)
        if ending not in ENDINGS:
            found.left_out[ending or "without an ending"] += 1
        elif entry.is_file():
            found.images.append(path)
        elif kind_of(path) is None:
            found.left_out["leading nowhere"] += 1
        else:
            raise InputError(f"{path} must be a file, got {kind_of(path)}; remove it")
    found.images.sort()
    return found


def loose_images(folder: Path) -> int:
    """Returns the number of images in a folder itself, beside its folders."""
    return sum(not is_hidden(one.name) and _ending(one.name) in ENDINGS and one.is_file() for one in _entries(folder))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}; check its permissions") from error


def _walk(folder: Path, left_out: Counter[str], seen: set[str]) -> Iterator[os.DirEntry[str]]:
    # A link may lead back to a folder above it: each folder is entered once.
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in _entries(folder):
        if is_hidden(entry.name):
            # Copies below a hidden folder, and hidden images, are worth a word; the marks of a file system are not.
            if entry.is_dir() or (_ending(entry.name) in ENDINGS and not entry.name.startswith("._")):
                left_out["hidden"] += 1
        elif entry.is_dir():
            yield from _walk(Path(entry.path), left_out, seen)
        else:
            yield entry


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()
