"""Sources of packed data sets: folders of images by class, lists of images, and tar files of images with classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rolewise.data.held_images import NOTHING_MB
from rolewise.data.image_files import subfolders
from rolewise.data.image_sources import StreamedFiles
from rolewise.data.layout import part_of
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError

#: Names of the parts of a packed data set: its splits.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class PackItem:
    """One encoded image of a source.

    Args:
        name: its place, below the source.
        path: the file that holds it.
        label: the number of its class.
        start: its first byte in that file.
        size: its bytes; None for all to the end of the file.
    """

    name: str
    path: Path
    label: int
    start: int = 0
    size: int | None = None

    def content(self) -> bytes:
        """Returns its bytes."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read() if self.size is None else file.read(self.size)


@dataclass(frozen=True)
class PackSource:
    """Everything that is packed.

    Args:
        parts: the images of each part.
        classes: K names.
    """

    parts: Mapping[str, Sequence[PackItem]]
    classes: tuple[str, ...]


def folder_source(folder: Path, parts: Mapping[str, str]) -> PackSource:
    """Returns the images of a folder that has a folder for each class, possibly below a folder for each part.

    Args:
        folder: the whole.
        parts: the folder of each part; parts that are left out are found by their names.

    Raises:
        InputError: parts and classes cannot be distinguished, or classes differ (see `image_folder`).
    """
    found = {part: entry.name for entry in subfolders(folder) if (part := part_of(entry.name)) is not None}
    if "train" in found:
        parts = {**found, **parts}
    read = READERS["image_folder"]
    held = [part for part in PARTS[1:] if part in parts]
    train = parts.get("train")
    if not held:
        return _of_files(folder, {"train": read(folder, False, NOTHING_MB, train=train or ".", size=1)[0]})
    sources = {part: read(folder, False, NOTHING_MB, train=train, test=parts[part], size=1) for part in held}
    return _of_files(folder, {"train": sources[held[0]][0], **{part: sources[part][1] for part in held}})


def list_source(
    file: Path, parts: Mapping[str, str], *, image: str, label: str, root: str | None, classes: Sequence[str] | None
) -> PackSource:
    """Returns the images that a CSV or JSON lines file lists.

    Args:
        file: the training images' list.
        parts: the lists of other parts, beside it.
        image: the name of the column of their paths.
        label: the name of the column of their classes.
        root: the folder that paths begin in; None for that of each list.
        classes: the names of all classes; None for those that the training list names.

    Raises:
        InputError: a list is damaged, or names what is not there (see `image_list`).
    """
    read, folder = READERS["image_list"], file.parent
    named = {"image": image, "label": label, "root": root, "classes": None if classes is None else list(classes)}
    held = [part for part in PARTS[1:] if part in parts]
    sources = {part: read(folder, False, NOTHING_MB, file.name, parts[part], size=1, **named) for part in held}
    train = sources[held[0]][0] if held else read(folder, False, NOTHING_MB, file.name, None, size=1, **named)[0]
    return _of_files(folder, {"train": train, **{part: sources[part][1] for part in held}})


def _of_files(root: Path, sources: Mapping[str, object]) -> PackSource:
    items: dict[str, list[PackItem]] = {}
    classes: tuple[str, ...] = ()
    for part, source in sources.items():
        assert isinstance(source, StreamedFiles)
        classes = source.classes
        items[part] = [
            PackItem(str(path.relative_to(root) if path.is_relative_to(root) else path), path, label)
            for path, label in zip(source.paths, source.labels.tolist(), strict=True)
        ]
    if len(classes) < 2:
        raise InputError(f"{root} must have images of at least two classes, got {len(classes)}")
    return PackSource(items, classes)
