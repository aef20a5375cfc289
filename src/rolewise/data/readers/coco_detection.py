"""COCO's layout for detection: folders of images, and a JSON file of all boxes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from rolewise.data.arguments import BOX_CLASSES, COLOUR, MAYBE_TEXT, OUTSIDE, RESIZE, SIZE, TEXT
from rolewise.data.box_files import BoxedPicture, Outside, PictureBox, box_parts
from rolewise.data.data_checks import check_kind
from rolewise.data.download import find
from rolewise.data.image_decoder import Resize
from rolewise.data.image_sources import Source
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError
from rolewise.files import read_json

#: Bytes of a file of boxes: that of COCO's 118,000 training images has 449 million.
_LARGEST = 2**31


@READERS.add("coco_detection")
def coco_detection(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    images: Annotated[str, TEXT] = "train2017",
    annotations: Annotated[str, TEXT] = "annotations/instances_train2017.json",
    validation_images: Annotated[str | None, MAYBE_TEXT] = None,
    validation_annotations: Annotated[str | None, MAYBE_TEXT] = None,
    test_images: Annotated[str | None, MAYBE_TEXT] = None,
    test_annotations: Annotated[str | None, MAYBE_TEXT] = None,
    classes: Annotated[list[str] | None, BOX_CLASSES] = None,
    outside: Annotated[Outside, OUTSIDE] = "error",
    size: Annotated[int | list[int], SIZE] = 320,
    resize: Annotated[Resize, RESIZE] = "pad",
    background: Annotated[int | list[int], COLOUR] = 0,
) -> tuple[Source, Source | None]:
    """Folders of images, and JSON files with their boxes as COCO has them; crowds are neither learned nor counted."""
    parts: list[list[BoxedPicture] | None] = []
    names = tuple(classes) if classes is not None else None
    places = (
        ("", images, annotations),
        ("validation_", validation_images, validation_annotations),
        ("test_", test_images, test_annotations),
    )
    for part, pictures, boxes in places:
        if (pictures is None) != (boxes is None):
            raise InputError(
                f'data set "coco_detection": {part}images and {part}annotations must both be given, or neither; add '
                "the other"
            )
    for _, pictures, boxes in places:
        if pictures is None or boxes is None:
            parts.append(None)
            continue
        folder = find(root, [pictures], pictures, None, "a folder")
        found, known = _pictures(folder, find(root, [boxes], boxes, None), names)
        # The other parts have the classes of the training part.
        names = known if names is None else names
        parts.append(found)
    rules = PictureRules(size, False, background, resize, "stored", "error", memory_budget_mb)
    return box_parts((parts[0] or [], parts[1] or [], parts[2]), names or (), rules, outside=outside)


def _pictures(folder: Path, path: Path, classes: tuple[str, ...] | None) -> tuple[list[BoxedPicture], tuple[str, ...]]:
    """Returns the images of a JSON file with their boxes, and the names of its classes in the order of their numbers.

    Boxes of other classes than ``classes`` are left out where these are a choice of the file's.

    Raises:
        InputError: the file is damaged or of another form, or an image is missing.
    """
    content = read_json(path, "file of boxes", largest=_LARGEST)
    if not isinstance(content, Mapping):
        raise InputError(f"{path} must hold a mapping with images, annotations and categories, got a list; see COCO")
    tables = {name: _table(content, name, path) for name in ("images", "annotations", "categories")}
    names = {_whole(one, "id", path, f"category {at}"): str(one.get("name")) for at, one in tables["categories"]}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise InputError(f"{path}: categories must have distinct names, got {twice[0]!r} twice; rename one")
    boxes: dict[int, list[PictureBox]] = {}
    sizes: dict[int, tuple[Path, tuple[int, int] | None, str]] = {}
    for at, one in tables["images"]:
        place = f"{path}, image {at}"
        key = _whole(one, "id", path, f"image {at}")
        if key in sizes:
            raise InputError(f"{place}: id must be another one for each image, got {key} again")
        file = folder / str(one.get("file_name"))
        try:
            check_kind(file, "a file")
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        width, height = one.get("width"), one.get("height")
        size = (width, height) if type(width) is int and type(height) is int else None
        sizes[key], boxes[key] = (file, size, place), []
    for at, one in tables["annotations"]:
        place = f"{path}, annotation {at}"
        key, kind = (_whole(one, name, path, f"annotation {at}") for name in ("image_id", "category_id"))
        if key not in sizes:
            raise InputError(f"{place}: image_id must be that of an image in the file, got {key}; add it to images")
        if kind not in names:
            raise InputError(f"{place}: category_id must be that of a category in the file, got {kind}; add it")
        if classes is None or names[kind] in classes:
            boxes[key].append(_box(one, names[kind], place))
    if classes is not None and (unknown := [name for name in classes if name not in names.values()]):
        raise InputError(f"data.arguments.classes must be categories of {path}, got {unknown[0]!r}; it has others")
    order = tuple(names[key] for key in sorted(names))
    return [BoxedPicture(file, tuple(boxes[key]), size, place) for key, (file, size, place) in sizes.items()], order


def _table(content: Mapping[str, Any], name: str, path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Returns the entries of a list with their numbers from 1."""
    table = content.get(name)
    if not isinstance(table, list) or (not table and name != "annotations"):
        got = "an empty list" if table == [] else "none" if table is None else type(table).__name__
        raise InputError(f"{path} must hold a list of {name}, as COCO's files do, got {got}")
    for at, one in enumerate(table, 1):
        if not isinstance(one, Mapping):
            raise InputError(f"{path}: entry {at} of {name} must be a mapping, got {type(one).__name__}")
    return list(enumerate(table, 1))


def _whole(one: Mapping[str, Any], name: str, path: Path, what: str) -> int:
    value = one.get(name)
    if type(value) is not int:
        raise InputError(f"{path}, {what}: {name} must be a whole number, got {value!r}; correct it")
    return value


def _box(one: Mapping[str, Any], name: str, place: str) -> PictureBox:
    box = one.get("bbox")
    good = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not good or not all(abs(value) < 1e9 for value in box or ()):
        raise InputError(f"{place}: bbox must be four numbers, x, y, width and height, got {box!r}; correct it")
    assert isinstance(box, list)
    crowd = one.get("iscrowd", 0)
    if type(crowd) not in (int, bool) or crowd not in (0, 1):
        raise InputError(f"{place}: iscrowd must be 0 or 1, got {crowd!r}; correct it, or leave it out")
    x, y, width, height = (float(value) for value in box)
    return PictureBox((x, y, x + width, y + height), name, crowd == 1, place)
