"""Images that a CSV or JSON lines file lists with their classes, and possibly another file that lists test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch

from rolewise.data.arguments import (
    CLASSES,
    COLOUR,
    CROP_RATIO,
    FAULTY,
    FLAG,
    MAYBE_TEXT,
    ORIENTATION,
    RESIZE,
    SIZE,
    TEXT,
)
from rolewise.data.download import find
from rolewise.data.duplicates import warn_of_copies
from rolewise.data.image_decoder import Orientation, Resize
from rolewise.data.image_list_file import ListedImage, read_image_list
from rolewise.data.image_sources import Source
from rolewise.data.picture_source import Faulty, PictureRules, picture_source
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import UNLABELLED
from rolewise.errors import InputError, near


@READERS.add("image_list")
def image_list(
    root_of_data: Path,
    download: bool,
    memory_budget_mb: float,
    file: Annotated[str, TEXT] = "train.csv",
    test: Annotated[str | None, MAYBE_TEXT] = None,
    image: Annotated[str, TEXT] = "image",
    label: Annotated[str, TEXT] = "label",
    root: Annotated[str | None, MAYBE_TEXT] = None,
    classes: Annotated[list[str] | None, CLASSES] = None,
    unlabelled: Annotated[bool, FLAG] = False,
    size: Annotated[int | list[int], SIZE] = 32,
    resize: Annotated[Resize, RESIZE] = "crop",
    orientation: Annotated[Orientation, ORIENTATION] = "exif",
    grayscale: Annotated[bool, FLAG] = False,
    background: Annotated[int | list[int], COLOUR] = 255,
    faulty: Annotated[Faulty, FAULTY] = "error",
    crop_ratio: Annotated[float, CROP_RATIO] = 1.0,
) -> tuple[Source, Source | None]:
    """Image files that a CSV or JSON lines file lists with their classes."""
    files = [find(root_of_data, [name], name, None) for name in (file, test) if name is not None]
    if unlabelled and test is None:
        rule = "must be a list of labelled images where unlabelled is true, got nothing: their classes are those"
        raise InputError(f'data set "image_list", test: {rule}; add one')
    folder = find(root_of_data, [root], root, None, "a folder") if root is not None else None
    lists = [
        read_image_list(path, folder or path.parent, image, None if unlabelled and not number else label)
        for number, path in enumerate(files)
    ]
    names = tuple(classes) if classes is not None else _names(lists[-1] if unlabelled else lists[0])
    labels = [_labels(path, listed, names) for path, listed in zip(files, lists, strict=True)]
    warn_of_copies(files[0].parent, [[one.path for one in listed] for listed in lists])
    rules = PictureRules(size, grayscale, background, resize, orientation, faulty, memory_budget_mb, crop_ratio)
    sources = [
        picture_source([one.path for one in listed], numbers, names, rules)
        for listed, numbers in zip(lists, labels, strict=True)
    ]
    return sources[0], sources[1] if len(sources) > 1 else None


def _names(listed: Sequence[ListedImage]) -> tuple[str, ...]:
    """Returns the classes in order: by value where all are whole numbers, else by their names."""
    names = {str(one.label) for one in listed}
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _labels(file: Path, listed: Sequence[ListedImage], names: tuple[str, ...]) -> torch.Tensor:
    """Returns the number of each image's class, int64 [N]."""
    numbers = {name: number for number, name in enumerate(names)}
    for one in listed:
        if one.label is not None and one.label not in numbers:
            raise InputError(
                f'{file}, line {one.line}: must be one of the {len(names)} classes, got "{one.label}"'
                f"{near(one.label, names)}; correct it, or name all classes in data.arguments.classes"
            )
    return torch.tensor([UNLABELLED if one.label is None else numbers[one.label] for one in listed])
