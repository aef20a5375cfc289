"""Image files with boxes: checked against their pictures, brought to one size, and packed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from rolewise.data.box_targets import packed_boxes
from rolewise.data.data_checks import warn
from rolewise.data.image_decoder import Resize
from rolewise.data.image_sources import Source
from rolewise.data.label_decoder import stored_size
from rolewise.data.own_validation import marked_validation
from rolewise.data.picture_source import PictureRules, picture_source
from rolewise.errors import InputError
from rolewise.words import counted

#: A box beyond its image's edge ends the reading, or is cut there.
Outside = Literal["error", "cut"]
OUTSIDES: tuple[Outside, ...] = get_args(Outside)
#: The fraction of a box that a cut at the edges must leave.
_LEAST = 0.3
#: Files and boxes that a warning lists.
_LISTED = 4


@dataclass(frozen=True)
class PictureBox:
    """A box as a file has it.

    Args:
        corners: x1, y1, x2, y2 in pixels of the stored picture, from its upper left corner.
        name: of its class.
        aside: whether it is neither learned nor counted.
        place: its file and row, for errors.
    """

    corners: tuple[float, float, float, float]
    name: str
    aside: bool
    place: str


@dataclass(frozen=True)
class BoxedPicture:
    """An image file and its boxes.

    Args:
        path: of the image.
        boxes: in the order of their file.
        size: (width, height) as the boxes' file has them, or None.
        place: the boxes' file, for errors.
    """

    path: Path
    boxes: tuple[PictureBox, ...]
    size: tuple[int, int] | None
    place: str


def class_names_in(pictures: Sequence[BoxedPicture]) -> tuple[str, ...]:
    """Returns the names of all boxes' classes, sorted."""
    return tuple(sorted({box.name for picture in pictures for box in picture.boxes}))


def box_source(
    pictures: Sequence[BoxedPicture], classes: tuple[str, ...], rules: PictureRules, *, outside: Outside = "error"
) -> Source:
    """Returns image files with their boxes as a source.

    Boxes without an area are left out with a warning that names them, and so are those of which the cut of
    ``resize: crop``, or at the image's edge, leaves less than 0.3. Images without a box stay: they are all background.

    Args:
        pictures: N files with their boxes.
        classes: K names.
        rules: the images' way to pixels, which boxes follow.
        outside: ``error`` refuses a box beyond its image's edge, ``cut`` cuts it there.

    Raises:
        InputError: a file is damaged, a box lies outside its image, or is of no class; file and row are named.
    """
    number = {name: at for at, name in enumerate(classes)}
    table, flat, lost, empty = [], [], [], []
    for picture in pictures:
        width, height = _size_of(picture, rules)
        corners, labels, aside = [], [], []
        for box in picture.boxes:
            if box.name not in number:
                raise InputError(
                    f"{box.place}: a box's class must be one of {', '.join(classes[:12])}, got {box.name!r}; "
                    "correct it, or change data.arguments.classes"
                )
            if box.corners[2] <= box.corners[0] or box.corners[3] <= box.corners[1]:
                flat.append(box.place)
                continue
            within = _within(box, (width, height), outside)
            placed, left = placed_box(within, (width, height), rules.shape, rules.resize)
            if left * _area(within) / _area(box.corners) < _LEAST:
                lost.append(box.place)
                continue
            corners.append(placed)
            labels.append(number[box.name])
            aside.append(box.aside)
        if not picture.boxes:
            empty.append(str(picture.path))
        table.append((np.array(corners, np.float64).reshape(-1, 4), labels, aside))
    _warn_of(flat, "without an area left out", "box", "boxes")
    _warn_of(lost, f"left out, of which less than {_LEAST:g} is in the cut image", "box", "boxes")
    _warn_of(empty, "without any box: they are all background", "image", "images")
    _warn_of_absent([labels for _, labels, _ in table], classes, pictures)
    return picture_source([picture.path for picture in pictures], packed_boxes(table), classes, rules)


def box_parts(
    parts: tuple[Sequence[BoxedPicture], Sequence[BoxedPicture], Sequence[BoxedPicture] | None],
    classes: tuple[str, ...],
    rules: PictureRules,
    *,
    outside: Outside,
) -> tuple[Source, Source | None]:
    """Returns the training images of a set of image files with boxes, and its test images where it has any.

    Args:
        parts: the pictures that train, validate and are tested on; None without a test part. Images that validate are
            among the training images, marked as such.
        classes: K names.
        rules: the images' way to pixels.
        outside: as of `box_source`.

    Raises:
        InputError: as of `box_source`.
    """
    train, validation, test = parts
    source = box_source([*train, *validation], classes, rules, outside=outside)
    tested = None if test is None else box_source(test, classes, rules, outside=outside)
    return marked_validation(source, len(validation)), tested


def placed_box(
    box: tuple[float, float, float, float], stored: tuple[int, int], size: tuple[int, int], resize: Resize
) -> tuple[tuple[float, float, float, float], float]:
    """Returns a box where `rolewise.data.image_decoder.decode_image` brings its part of a picture.

    Args:
        box: x1, y1, x2, y2 in pixels of the stored picture.
        stored: (width, height) of the picture.
        size: (H, W) that it is brought to.
        resize: the way there.

    Returns:
        The box in pixels of the new size, cut at its edges, and the fraction of its area that is left.
    """
    target = size[1], size[0]
    scale, shift = _placement(stored, target, resize)
    moved = tuple(value * scale[at % 2] + shift[at % 2] for at, value in enumerate(box))
    cut = tuple(min(max(value, 0.0), float(target[at % 2])) for at, value in enumerate(moved))
    return (cut[0], cut[1], cut[2], cut[3]), _area(cut) / _area(moved)


def box_on_picture(
    box: Sequence[float], stored: tuple[int, int], size: tuple[int, int], resize: Resize
) -> tuple[float, float, float, float]:
    """Returns a box of an image laid back onto its picture, cut at the picture's edges; the inverse of `placed_box`.

    Args:
        box: x1, y1, x2, y2 in pixels of the image.
        stored: (width, height) of the picture.
        size: (H, W) of the image.
        resize: the way from the picture to the image.
    """
    scale, shift = _placement(stored, (size[1], size[0]), resize)
    moved = [(value - shift[at % 2]) / scale[at % 2] for at, value in enumerate(box)]
    cut = [min(max(value, 0.0), float(stored[at % 2])) for at, value in enumerate(moved)]
    return cut[0], cut[1], cut[2], cut[3]


def _placement(
    stored: tuple[int, int], target: tuple[int, int], resize: Resize
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns scale and shift of x and of y, from a picture (width, height) to an image (W, H)."""
    width, height = stored
    if resize == "squash":
        scale, shift = (target[0] / width, target[1] / height), (0.0, 0.0)
    elif resize == "pad":
        least = min(target[0] / width, target[1] / height)
        fitted = max(1, round(width * least)), max(1, round(height * least))
        scale = fitted[0] / width, fitted[1] / height
        shift = float((target[0] - fitted[0]) // 2), float((target[1] - fitted[1]) // 2)
    else:
        # The largest middle part of the target's shape, as Pillow's fit takes it.
        ratio = target[0] / target[1]
        part = (ratio * height, float(height)) if width / height >= ratio else (float(width), width / ratio)
        scale = target[0] / part[0], target[1] / part[1]
        shift = -(width - part[0]) / 2 * scale[0], -(height - part[1]) / 2 * scale[1]
    return scale, shift


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _size_of(picture: BoxedPicture, rules: PictureRules) -> tuple[int, int]:
    own = stored_size(picture.path, rules.orientation)
    if picture.size is not None and min(picture.size) > 0 and picture.size != own:
        raise InputError(
            f"{picture.place} must be of a picture of {picture.size[0]} x {picture.size[1]} pixels, and "
            f"{picture.path.name} has {own[0]} x {own[1]}; take the picture that the boxes were drawn on"
        )
    return own


def _within(box: PictureBox, size: tuple[int, int], outside: Outside) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.corners
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1]))
    if cut == box.corners or (outside == "cut" and _area(cut)):
        return cut
    raise InputError(
        f"{box.place}: a box must lie within its image of {size[0]} x {size[1]} pixels, got "
        f"{', '.join(f'{value:g}' for value in box.corners)}; correct it, or set data.arguments.outside to cut"
    )


def _warn_of(places: Sequence[str], what: str, single: str, several: str) -> None:
    if places:
        more = f" and {len(places) - _LISTED:,} more" if len(places) > _LISTED else ""
        listed = "; ".join(places[:_LISTED])
        warn(f"{counted(len(places), single, several)} {what}: {listed}{more}")


def _warn_of_absent(labels: Sequence[list[int]], classes: tuple[str, ...], pictures: Sequence[BoxedPicture]) -> None:
    there = {label for each in labels for label in each}
    absent = [name for at, name in enumerate(classes) if at not in there]
    if absent:
        where = os.path.commonpath([picture.path.parent for picture in pictures]) if pictures else "the images"
        warn(f"{where}: no box of {', '.join(absent[:6])} in any of {counted(len(pictures), 'image')}")
