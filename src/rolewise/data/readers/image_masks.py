"""A folder of images beside a folder of masks, and possibly both for a test part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rolewise.batch import IGNORED
from rolewise.data.arguments import (
    CLASSES,
    COLOUR,
    FLAG,
    IGNORE,
    MAYBE_TEXT,
    ORIENTATION,
    RESIZE,
    SIZE,
    TEXT,
    VALUES,
    Rule,
)
from rolewise.data.download import find
from rolewise.data.duplicates import warn_of_copies
from rolewise.data.image_decoder import Orientation, Resize
from rolewise.data.image_sources import Source
from rolewise.data.mask_files import MaskRules, mask_parts, pairs_in
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError


@READERS.add("image_masks")
def image_masks(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    images: Annotated[str, TEXT] = "images",
    masks: Annotated[str, TEXT] = "masks",
    test_images: Annotated[str | None, MAYBE_TEXT] = None,
    test_masks: Annotated[str | None, MAYBE_TEXT] = None,
    validation_images: Annotated[str | None, MAYBE_TEXT] = None,
    validation_masks: Annotated[str | None, MAYBE_TEXT] = None,
    mask_suffix: Annotated[str, Rule("text", lambda value: isinstance(value, str))] = "",
    classes: Annotated[list[str] | None, CLASSES] = None,
    binary: Annotated[bool, FLAG] = False,
    outlines: Annotated[bool, FLAG] = False,
    ignore: Annotated[int | None, IGNORE] = IGNORED,
    values: Annotated[list[int] | None, VALUES] = None,
    size: Annotated[int | list[int], SIZE] = 256,
    resize: Annotated[Resize, RESIZE] = "crop",
    orientation: Annotated[Orientation, ORIENTATION] = "exif",
    grayscale: Annotated[bool, FLAG] = False,
    background: Annotated[int | list[int], COLOUR] = 255,
) -> tuple[Source, Source | None]:
    """Image files with a mask file each, of the same name: a grey or palette picture of class numbers."""
    where = 'data set "image_masks"'
    if binary:
        usual = ("background", "object", "outline") if outlines else ("background", "object")
        names = tuple(classes) if classes is not None else usual
    elif classes is None:
        raise InputError(f"{where}, classes: must name the classes in the order of their numbers, got none; add them")
    else:
        names = tuple(classes)
    if outlines and not binary:
        raise InputError(f"{where}, outlines: must go with binary: true, where numbers above 0 are objects; add it")
    if binary and (len(names) != 2 + outlines or values is not None):
        rule = "three classes and no values, the third of outlines" if outlines else "two classes and no values"
        raise InputError(f"{where}, binary: must go with {rule}: all numbers above 0 are the second")
    if values is not None and len(values) != len(names):
        raise InputError(f"{where}, values: must be one number for each of {len(names)} classes, got {len(values)}")
    parts = {"train": (images, masks)}
    for part, both in (("validation", (validation_images, validation_masks)), ("test", (test_images, test_masks))):
        if (both[0] is None) != (both[1] is None):
            raise InputError(f"{where}: {part}_images and {part}_masks must both be given, or neither; add the other")
        if both[0] is not None and both[1] is not None:
            parts[part] = both[0], both[1]
    mask_rules = MaskRules(names, ignore, None if values is None else tuple(values), binary, outlines)
    rules = PictureRules(size, grayscale, background, resize, orientation, "error", memory_budget_mb)
    pairs = {}
    for part, names_of in parts.items():
        first, second = (find(root, [name], name, None, "a folder") for name in names_of)
        pairs[part] = pairs_in(first, second, mask_suffix)
    warn_of_copies(root, [listed for listed, _ in pairs.values()])
    validation, test = (part if part in parts else None for part in ("validation", "test"))
    return mask_parts(pairs.__getitem__, ("train", validation, test), rules, mask_rules)
