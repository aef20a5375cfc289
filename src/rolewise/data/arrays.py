"""Data out of arrays: which shapes and types they may have, and the remedy for each other one that people have."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rolewise.batch import IGNORED
from rolewise.data.box_targets import as_boxes
from rolewise.data.data_checks import warn
from rolewise.data.image_sources import ImageData
from rolewise.data.labels import numbered
from rolewise.data.point_targets import as_points
from rolewise.data.targets import TargetKind, as_masks, as_targets, target_names, target_problem
from rolewise.errors import InputError
from rolewise.words import counted

#: What a mapping of arrays may hold.
NAMES = ("images", "labels", "test_images", "test_labels", "classes")
_LAYOUTS = "uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3"


def from_arrays(arrays: Any, where: str, kind: TargetKind = "classes") -> tuple[ImageData, ImageData | None]:
    """Makes data out of a mapping of arrays.

    Args:
        arrays: ``images`` uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3 (where both of the last fit,
            [N, C, H, W]); ``labels``, whole numbers [N]; possibly ``test_images`` and ``test_labels`` likewise, and
            ``classes``, K names. Without ``classes`` the labels must use every number from 0 to K - 1.
        where: the origin of the arrays, for errors.
        kind: the kind of labels: ``classes``; ``labels``, [N, K] of 0 and 1; ``numbers``, [N] or [N, D]; ``masks``,
            whole numbers [N, H, W], 255 or -1 for pixels that do not count; or ``points``, [N, P, 2].

    Returns:
        The training images and the test images, None where there are none.

    Raises:
        InputError: one is missing, or its shape, type or range is wrong; the remedy is named.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(f"{where} must be a mapping with images and labels, got {type(arrays).__name__}")
    has_test = check_names(arrays, where)
    found = {name: _array(arrays[name], name, where) for name in NAMES[:4] if name in arrays}
    for prefix in ("", "test_")[: 1 + has_test]:
        images, labels = found[f"{prefix}images"], found[f"{prefix}labels"]
        for problem in (
            image_problem(images.dtype, images.shape, f"{prefix}images"),
            target_problem(labels.dtype, labels.shape, len(images) if images.ndim else 0, f"{prefix}labels", kind),
        ):
            if problem:
                raise InputError(f"{where}: {problem}")
    classes = class_names(arrays["classes"], where) if arrays.get("classes") is not None else None
    train_labels, test_labels, names = targets_and_names(
        found["labels"], found.get("test_labels"), classes, where, kind
    )
    train = _data(found["images"], train_labels, names, where)
    if test_labels is None:
        return train, None
    test = _data(found["test_images"], test_labels, names, where)
    _warn_of_copies(train, test, where)
    return train, test


def check_names(found: Iterable[str], where: str, rename: str = "rename them") -> bool:
    """Checks that images and labels are there, and warns of arrays that are left out.

    Args:
        found: the names of the arrays that are there.
        where: the origin of the arrays, for errors.
        rename: the remedy for other names.

    Returns:
        Whether there is a test part.

    Raises:
        InputError: images or labels are missing; the names found and wanted are listed.
    """
    names = [str(name) for name in found]
    missing = [name for name in NAMES[:2] if name not in names]
    has_test = "test_images" in names or "test_labels" in names
    missing += [name for name in NAMES[2:4] if has_test and name not in names]
    others = [name for name in names if name not in NAMES]
    listed = ", ".join(names[:12]) or "nothing"
    if missing:
        raise InputError(
            f"{where} must hold {' and '.join(missing)}, got {listed}; {rename} "
            "(wanted: images, labels, and possibly test_images, test_labels, classes)"
        )
    if others:
        warn(f"{where}: {', '.join(others[:12])} left out; read are {', '.join(n for n in names if n in NAMES)}")
    return has_test


def image_problem(dtype: np.dtype[Any], shape: Sequence[int], name: str) -> str | None:
    """Returns the fault of an array of images by its type and shape alone, and the remedy; None without a fault."""
    rule = f"{name} must be {_LAYOUTS}, got {dtype} {list(shape)}"
    if dtype.kind == "O":
        return f"{rule}; bring them to one size and stack them with np.stack"
    if len(shape) == 2:
        side = math.isqrt(shape[1])
        example = f"[{side}, {side}]" if side * side == shape[1] else "[H, W]"
        return f"{rule}; give each row its shape, such as {example}, with {name}.reshape"
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] not in (1, 3) and shape[3] not in (1, 3)):
        if len(shape) == 4 and 4 in (shape[1], shape[3]):
            return f"{rule}; a fourth channel is alpha: put the images on a background first"
        return f"{rule}; bring them into one of these shapes"
    if 0 in shape:
        return f"{name} must not be empty, got {list(shape)}"
    if dtype.kind == "f":
        return f"{rule}; where they are 0 to 1, take ({name} * 255).round().astype(np.uint8)"
    if dtype.kind == "b":
        return f"{rule}; take {name}.astype(np.uint8) * 255"
    if dtype == np.uint16:
        return f"{rule}; where they use all 16 bits, take ({name} / 257).round().astype(np.uint8)"
    if dtype != np.uint8:
        return f"{rule}; where they are 0 to 255, take {name}.astype(np.uint8)"
    return None


def channels_first(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W], [N, H, W, C] or [N, C, H, W] as a view [N, C, H, W]."""
    if images.ndim == 3:
        return images[:, None]
    return images if images.shape[1] in (1, 3) else images.transpose(0, 3, 1, 2)


def class_names(value: Any, where: str) -> tuple[str, ...]:
    """Returns the names of classes.

    Raises:
        InputError: they are no list of names or numbers, or two are the same.
    """
    array = _array(value, "classes", where)
    if array.ndim != 1 or array.dtype.kind not in "USiuO":
        raise InputError(f"{where}: classes must be a list of names, got {array.dtype} {list(array.shape)}")
    names = tuple(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in array.tolist())
    twice = [one for one, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{where}: classes must be distinct names, got {', '.join(twice[:4])} more than once")
    return names


def _array(value: Any, name: str, where: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as error:
        # Lists of unequal lengths, tensors on another device, and whatever else is no array.
        raise InputError(f"{where}: {name} must be an array ({error}); make it one with np.stack") from error


def _warn_of_copies(train: ImageData, test: ImageData, where: str) -> None:
    """Warns of test images that are training images, to the byte."""
    if train.images.shape[1:] != test.images.shape[1:]:
        return
    known = {_digest(image): index for index, image in enumerate(train.images.numpy())}
    same = [(known[mark], at) for at, image in enumerate(test.images.numpy()) if (mark := _digest(image)) in known]
    if same:
        warn(
            f"{where}: {counted(len(same), 'test image is a training image', 'test images are training images')}, such "
            f"as test_images[{same[0][1]}] and images[{same[0][0]}]; the test accuracy counts what was trained on"
        )


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(image.data, digest_size=16).digest()


def targets_and_names(
    labels: np.ndarray,
    test_labels: np.ndarray | None,
    classes: Sequence[str] | None,
    where: str,
    kind: TargetKind,
) -> tuple[torch.Tensor, torch.Tensor | None, tuple[str, ...]]:
    """Returns the targets of training and test images, and the names of classes, labels or numbers.

    Args:
        labels: of the training images.
        test_labels: of the test images, or None.
        classes: the names, or None.
        where: their origin, for errors.
        kind: their kind.

    Raises:
        InputError: a value is out of range, or the names are not as many as the labels or numbers.
    """
    if kind == "classes":
        first, second, names = numbered(labels, test_labels, classes, where)
        return torch.from_numpy(first), None if second is None else torch.from_numpy(second), names
    if kind == "masks":
        masks = as_masks(labels, where), None if test_labels is None else as_masks(test_labels, f"{where}, test_labels")
        if classes is None:
            known = [part[part != IGNORED] for part in masks if part is not None]
            classes = target_names(1 + max((int(part.max()) for part in known if len(part)), default=0), kind)
        return (*masks, tuple(classes))
    if kind == "boxes":
        boxes = as_boxes(labels, where), None if test_labels is None else as_boxes(test_labels, f"{where}, test_labels")
        if classes is None:
            most = max((float(part[:, :, 4].max()) for part in boxes if part is not None and part.numel()), default=0)
            classes = target_names(1 + max(0, int(most)), kind)
        return (*boxes, tuple(classes))
    if kind == "points":
        points = (
            as_points(labels, where),
            None if test_labels is None else as_points(test_labels, f"{where}, test_labels"),
        )
        return (*points, tuple(classes) if classes is not None else target_names(points[0].shape[1], kind))
    train = as_targets(labels, kind, where)
    test = None if test_labels is None else as_targets(test_labels, kind, f"{where}, test_labels")
    if test is not None and test.dtype != train.dtype:
        train, test = train.float(), test.float()
    names = tuple(classes) if classes is not None else target_names(train.shape[1], kind)
    for part in (train,) if test is None else (train, test):
        if len(names) != part.shape[1]:
            raise InputError(
                f"{where}: classes must be a name for each of the {part.shape[1]} {kind}, got {len(names)}; change them"
            )
    return train, test, names


def _data(images: np.ndarray, labels: torch.Tensor, classes: tuple[str, ...], where: str) -> ImageData:
    try:
        pixels = np.ascontiguousarray(channels_first(images))
        return ImageData(torch.from_numpy(pixels), labels, classes)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
