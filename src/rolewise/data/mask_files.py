"""Mask files beside image files: each image's mask is found, read as classes, and brought to the image's size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rolewise.batch import IGNORED
from rolewise.data.data_checks import check_memory, warn
from rolewise.data.image_files import list_images
from rolewise.data.image_sources import Source
from rolewise.data.label_decoder import decode_labels, stored_size
from rolewise.data.own_validation import marked_validation
from rolewise.data.picture_source import PictureRules, picture_source
from rolewise.errors import InputError
from rolewise.words import counted

#: Endings of files that keep every label as it was; a JPEG mixes neighbouring labels.
ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm", ".ppm")
_THREADS = 2


@dataclass(frozen=True)
class MaskRules:
    """The way from the numbers in mask files to classes.

    Args:
        classes: K names.
        ignore: the number of pixels that do not count, or None.
        values: the number of each class in the files, in the classes' order; None where they are 0 to K - 1.
        binary: whether every number above 0 is class 1: instances, or white on black.
        outlines: whether the numbers above 0 are objects whose outlines, a pixel wide, are class 2, so that objects
            that touch stay apart; only where ``binary``.
    """

    classes: tuple[str, ...]
    ignore: int | None = IGNORED
    values: tuple[int, ...] | None = None
    binary: bool = False
    outlines: bool = False

    def classes_in(self, numbers: np.ndarray, path: Path) -> np.ndarray:
        """Returns the classes, uint8, of the numbers in a file, `IGNORED` where pixels do not count.

        Raises:
            InputError: a number is none of a class.
        """
        if self.binary:
            return _outlined(numbers) if self.outlines else (numbers > 0).astype(np.uint8)
        known = list(self.values) if self.values is not None else range(len(self.classes))
        table = np.full(65536, -1, np.int16)
        table[list(known)] = np.arange(len(self.classes))
        if self.ignore is not None:
            table[self.ignore] = IGNORED
        found = table[numbers]
        if (found < 0).any():
            wrong = numbers[found < 0]
            share = np.mean(found < 0)
            raise InputError(
                f"{path} must hold the numbers of {len(self.classes)} classes, {_listed(known)}"
                f"{'' if self.ignore is None else f', or {self.ignore}, which is ignored'}, got {int(wrong[0])} at "
                f"{share:.1%} of its pixels; set data.arguments.ignore, values or classes to those of the files"
            )
        return np.asarray(found, np.uint8)


def _outlined(numbers: np.ndarray) -> np.ndarray:
    """Returns 0 outside objects, 2 for their pixels that have a side in common with another number, else 1."""
    edge = np.zeros(numbers.shape, bool)
    for axis in (0, 1):
        differs = np.diff(numbers.astype(np.int64), axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= differs
        edge[tuple(after)] |= differs
    return np.where(numbers > 0, np.where(edge, 2, 1), 0).astype(np.uint8)


def mask_source(images: Sequence[Path], masks: Sequence[Path], rules: PictureRules, mask_rules: MaskRules) -> Source:
    """Returns image files with their masks as a source; the masks are held in memory.

    Args:
        images: N files.
        masks: N files, in the images' order.
        rules: the images' way to pixels, which masks follow by the nearest pixel.
        mask_rules: the masks' way to classes.

    Raises:
        InputError: memory has no room, or a file is damaged, of another size than its image, or holds other numbers.
    """
    height, width = rules.shape
    check_memory(len(masks) * height * width, f"{counted(len(masks), 'mask')}", "lower data.arguments.size")
    labels = np.empty((len(masks), height, width), np.uint8)

    def read(index: int) -> None:
        path, image = masks[index], images[index]
        own, wanted = stored_size(path, "stored"), stored_size(image, rules.orientation)
        if own != wanted:
            raise InputError(
                f"{path} must be of the size of {image.name}, {wanted[0]} x {wanted[1]} pixels, got {own[0]} x "
                f"{own[1]}; make it anew, by the nearest pixel"
            )
        numbers = decode_labels(
            path,
            rules.shape,
            resize=rules.resize,
            outside=_outside(mask_rules),
            check=lambda stored: None if mask_rules.binary else mask_rules.classes_in(stored, path),
        )
        labels[index] = mask_rules.classes_in(numbers, path)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(read, range(len(masks))))
    found = torch.from_numpy(labels)
    _warn_of_absent(found, mask_rules.classes, masks)
    return picture_source(images, found, mask_rules.classes, rules)


def mask_parts(
    listed: Callable[[str], tuple[list[Path], list[Path]]],
    parts: tuple[str, str | None, str | None],
    rules: PictureRules,
    mask_rules: MaskRules,
) -> tuple[Source, Source | None]:
    """Returns the training images of a set of image and mask files, and its test images where it has any.

    Args:
        listed: returns the images and the masks of a part.
        parts: names of the parts that train, validate and are tested on; None for one that is not there. Images that
            validate are among the training images, marked as such.
        rules: the images' way to pixels, which masks follow by the nearest pixel.
        mask_rules: the masks' way to classes.

    Raises:
        InputError: as of `mask_source`.
    """
    train, validation, test = parts
    images, masks = listed(train)
    further: tuple[list[Path], list[Path]] = ([], []) if validation is None else listed(validation)
    source = mask_source([*images, *further[0]], [*masks, *further[1]], rules, mask_rules)
    tested = None if test is None else mask_source(*listed(test), rules, mask_rules)
    return marked_validation(source, len(further[0])), tested


def pairs_in(images: Path, masks: Path, suffix: str = "") -> tuple[list[Path], list[Path]]:
    """Returns the images of a folder at every depth, and the mask of each.

    A mask has the path of its image below its own folder, with ``suffix`` behind the name and any of `ENDINGS`. Both
    may lie in the same folder: where there is no suffix, the PNG files are the masks.

    Args:
        images: a folder.
        masks: a folder.
        suffix: such as ``_mask``.

    Raises:
        InputError: there is no image, or images have no mask or several; they are named.
    """
    listed = list_images(images).images
    if images == masks:
        listed = [path for path in listed if not _is_mask(path, suffix)]
    elif masks.is_relative_to(images):
        listed = [path for path in listed if not path.is_relative_to(masks)]
    if not listed:
        raise InputError(f"{images} must hold images, got none; name their folder in data.arguments")
    by_name: dict[str, list[Path]] = {}
    images_of = set(listed)
    for path in list_images(masks).images:
        if path.suffix.lower() in ENDINGS and path not in images_of:
            by_name.setdefault(str(path.relative_to(masks).with_suffix("")), []).append(path)
    wanted = {path: str(path.relative_to(images).with_suffix("")) + suffix for path in listed}
    missing = [path for path, name in wanted.items() if name not in by_name]
    if missing:
        name = Path(wanted[missing[0]]).name
        raise InputError(
            f"{counted(len(missing), 'image')} of {len(listed):,} must have a mask in {masks}, such as "
            f"{missing[0].name}: {name}.png is missing; set data.arguments.mask_suffix where masks are called "
            "otherwise, or remove the image"
        )
    several = [name for name in wanted.values() if len(by_name[name]) > 1]
    if several:
        raise InputError(
            f"{masks} must hold one mask for each image, got {', '.join(path.name for path in by_name[several[0]])}; "
            "remove the others"
        )
    if len(set(wanted.values())) < len(wanted):
        twice = next(name for name, count in Counter(wanted.values()).items() if count > 1)
        same = [path.name for path, name in wanted.items() if name == twice]
        raise InputError(f"{images} must hold one image for each mask, got {', '.join(same)}; rename one")
    left = len(by_name) - len(wanted)
    if left:
        warn(f"{masks}: {counted(left, 'mask')} left out, which belong to no image of {images}")
    return listed, [by_name[wanted[path]][0] for path in listed]


def _is_mask(path: Path, suffix: str) -> bool:
    """Returns whether a file of a folder that holds images and masks is a mask: by its suffix, else a PNG is one."""
    return path.stem.endswith(suffix) if suffix else path.suffix.lower() == ".png"


def _outside(rules: MaskRules) -> int:
    """Returns the number in files that stands for what is around a padded picture."""
    return rules.ignore if rules.ignore is not None and not rules.binary else 0


def _listed(numbers: Sequence[int]) -> str:
    if list(numbers) == list(range(len(numbers))):
        return f"0 to {len(numbers) - 1}"
    return ", ".join(map(str, numbers))


def _warn_of_absent(labels: Tensor, classes: tuple[str, ...], masks: Sequence[Path]) -> None:
    there = torch.bincount(labels.reshape(-1), minlength=256)[: len(classes)]
    absent = [name for name, count in zip(classes, there.tolist(), strict=True) if not count]
    if absent:
        warn(f"{masks[0].parent}: no pixel of {', '.join(absent[:6])} in any of {counted(len(masks), 'mask')}")
