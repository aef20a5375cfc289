"""Pascal VOC's layout for segmentation: images, palette masks, and lists of names for each part."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from rolewise.data.arguments import CLASSES, MAYBE_TEXT, RESIZE, SIZE, TEXT
from rolewise.data.data_checks import check_kind
from rolewise.data.download import find
from rolewise.data.image_decoder import Resize
from rolewise.data.image_sources import Source
from rolewise.data.mask_files import MaskRules, mask_parts
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError
from rolewise.files import read_text

_ADDRESS = "http://host.robots.ox.ac.uk/pascal/VOC/"
#: In the order of their numbers in the masks; 255 is void.
_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus"),
    *("car", "cat", "chair", "cow", "dining table", "dog", "horse"),
    *("motorbike", "person", "potted plant", "sheep", "sofa", "train", "monitor"),
)


@READERS.add("voc_segmentation")
def voc_segmentation(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    folder: Annotated[str | None, MAYBE_TEXT] = None,
    train: Annotated[str, TEXT] = "train",
    test: Annotated[str | None, MAYBE_TEXT] = "val",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    classes: Annotated[list[str] | None, CLASSES] = None,
    size: Annotated[int | list[int], SIZE] = 256,
    resize: Annotated[Resize, RESIZE] = "pad",
) -> tuple[Source, Source | None]:
    """JPEGImages, SegmentationClass and the lists of ImageSets/Segmentation; 21 classes, and 255 for void."""
    places = [folder] if folder is not None else ["VOCdevkit/VOC2012", "VOC2012", "VOCdevkit/VOC2007", "VOC2007"]
    home = find(root, places, "Pascal VOC", _ADDRESS if folder is None else None, "a folder")
    rules = PictureRules(size, False, 0, resize, "stored", "error", memory_budget_mb)
    names = MaskRules(tuple(classes) if classes is not None else _CLASSES)
    if validation is not None and validation in (train, test):
        raise InputError(f'data set "voc_segmentation", validation: must be a further list, got {validation!r} twice')
    return mask_parts(partial(_listed, home), (train, validation, test), rules, names)


def _listed(home: Path, part: str) -> tuple[list[Path], list[Path]]:
    """Returns the images and masks that a list names.

    Raises:
        InputError: the list is missing or empty, or one of its files is.
    """
    path = home / "ImageSets" / "Segmentation" / f"{part}.txt"
    check_kind(path, "a file")
    # Further columns say whether an object is in the image, and are of no matter here.
    names = [line.split()[0] for line in read_text(path, "list of images").splitlines() if line.split()]
    if not names:
        raise InputError(f"{path} must name images, a line each, got an empty file")
    images, masks = (
        [home / where / f"{name}{ending}" for name in names]
        for where, ending in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"))
    )
    for line, both in enumerate(zip(images, masks, strict=True), 1):
        for file in both:
            try:
                check_kind(file, "a file")
            except InputError as error:
                raise InputError(f"{path}, line {line}: {error}") from error
    return images, masks
