"""Pascal VOC's layout for detection: images, an XML file of boxes for each, and lists of names for each part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

from rolewise.data.arguments import (
    BOX_CLASSES,
    COLOUR,
    FLAG,
    MAYBE_TEXT,
    OUTSIDE,
    RESIZE,
    SIZE,
    TEXT,
    one_of,
)
from rolewise.data.box_files import BoxedPicture, Outside, PictureBox, box_parts, class_names_in
from rolewise.data.data_checks import check_kind
from rolewise.data.download import find
from rolewise.data.duplicates import warn_of_copies
from rolewise.data.image_decoder import Resize
from rolewise.data.image_files import ENDINGS
from rolewise.data.image_sources import Source
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError
from rolewise.files import read_bytes, read_text

_ADDRESS = "http://host.robots.ox.ac.uk/pascal/VOC/"
_PLACES = ("VOCdevkit/VOC2012", "VOC2012", "VOCdevkit/VOC2007", "VOC2007")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@READERS.add("voc_detection")
def voc_detection(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    folder: Annotated[str | None, MAYBE_TEXT] = None,
    train: Annotated[str, TEXT] = "train",
    test: Annotated[str | None, MAYBE_TEXT] = "val",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    classes: Annotated[list[str] | None, BOX_CLASSES] = None,
    pixels: Annotated[bool, FLAG] = False,
    difficult: Annotated[str, one_of("ignore", "learn")] = "ignore",
    outside: Annotated[Outside, OUTSIDE] = "error",
    size: Annotated[int | list[int], SIZE] = 320,
    resize: Annotated[Resize, RESIZE] = "pad",
    background: Annotated[int | list[int], COLOUR] = 0,
) -> tuple[Source, Source | None]:
    """JPEGImages, Annotations and the lists of ImageSets/Main: images with boxes, of any classes."""
    places = [folder] if folder is not None else _PLACES
    home = find(root, places, "Pascal VOC", _ADDRESS if folder is None else None, "a folder")
    if validation is not None and validation in (train, test):
        raise InputError(f'data set "voc_detection", validation: must be a further list, got {validation!r} twice')
    parts = [
        [] if part is None else _listed(home, part, pixels, difficult == "ignore") for part in (train, validation, test)
    ]
    rules = PictureRules(size, False, background, resize, "stored", "error", memory_budget_mb)
    names = tuple(classes) if classes is not None else class_names_in([one for part in parts for one in part])
    warn_of_copies(home, [[one.path for one in part] for part in ([*parts[0], *parts[1]], parts[2]) if part])
    return box_parts((parts[0], parts[1], parts[2] if test is not None else None), names, rules, outside=outside)


def _listed(home: Path, part: str, pixels: bool, ignored: bool) -> list[BoxedPicture]:
    """Returns the images that a list names, with their boxes.

    Raises:
        InputError: the list is missing or empty, or one of its files is missing or damaged.
    """
    path = home / "ImageSets" / "Main" / f"{part}.txt"
    check_kind(path, "a file")
    names = [line.split()[0] for line in read_text(path, "list of images").splitlines() if line.split()]
    if not names:
        raise InputError(f"{path} must name images, a line each, got an empty file")
    found = []
    for line, name in enumerate(names, 1):
        try:
            image, boxes = _image_of(home, name), home / "Annotations" / f"{name}.xml"
            check_kind(boxes, "a file")
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        found.append(_boxed(image, boxes, pixels, ignored))
    return found


def _image_of(home: Path, name: str) -> Path:
    """Returns the picture of a name: a JPEG, or whatever other picture is called so."""
    usual = home / "JPEGImages" / f"{name}.jpg"
    if usual.exists():
        return usual
    others = [usual.with_name(name + ending) for ending in sorted(ENDINGS)]
    path = next((other for other in others if other.is_file()), usual)
    check_kind(path, "a file")
    return path


def _boxed(image: Path, path: Path, pixels: bool, ignored: bool) -> BoxedPicture:
    try:
        tree = ElementTree.fromstring(read_bytes(path, "file of boxes"))
    except ElementTree.ParseError as error:
        raise InputError(f"{path} must be XML of Pascal VOC's form ({error}); it is damaged: get it again") from error
    if tree.tag != "annotation":
        raise InputError(f"{path} must be XML of Pascal VOC's form, annotation at its top, got {tree.tag!r}")
    boxes = tuple(
        _box(each, f"{path}, object {at}", pixels, ignored) for at, each in enumerate(tree.findall("object"), 1)
    )
    size = tuple(_number(tree.find(f"size/{name}")) for name in ("width", "height"))
    known = (int(size[0]), int(size[1])) if size[0] is not None and size[1] is not None else None
    return BoxedPicture(image, boxes, known, str(path))


def _box(each: ElementTree.Element, place: str, pixels: bool, ignored: bool) -> PictureBox:
    name, corners = (each.findtext("name") or "").strip(), each.find("bndbox")
    if not name:
        raise InputError(f"{place}: an object must have a name, its class, got none; add it or take the object out")
    if corners is None:
        raise InputError(f"{place}: an object must have a bndbox, got none; add it or take the object out")
    values = [_number(corners.find(side)) for side in _SIDES]
    for side, value in zip(_SIDES, values, strict=True):
        if value is None:
            raise InputError(f"{place}: {side} must be a number, got {corners.findtext(side)!r}; correct it")
    x1, y1, x2, y2 = (float(value) for value in values if value is not None)
    if pixels:
        # The first and the last pixel of the box, from 1: the first one's left edge is at 0.
        x1, y1 = x1 - 1, y1 - 1
    return PictureBox((x1, y1, x2, y2), name, ignored and _number(each.find("difficult")) == 1, place)


def _number(element: ElementTree.Element | None) -> float | None:
    """Returns the number in an element; None where there is none."""
    try:
        value = float(element.text or "") if element is not None else float("nan")
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None
