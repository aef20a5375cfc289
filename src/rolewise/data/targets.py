"""Targets of images: classes, labels that are there or not, numbers, masks or boxes; their types and strata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rolewise.batch import IGNORED
from rolewise.data.box_targets import COLUMNS, box_list, check_packed, main_classes
from rolewise.data.labels import label_problem
from rolewise.data.point_targets import are_points, check_points, number_of_points
from rolewise.errors import InputError

#: ``classes``: int64 [N], one of K each. ``labels``: [N, K], 1 for each label that an image has. ``numbers``: [N, D].
#: ``masks``: uint8 [N, H, W], one of K for each pixel. ``boxes``: float32 [N, M, 6] (see `rolewise.data.box_targets`).
#: ``points``: float32 [N, P, 2], one place for each name. ``tags``: int16 [N, T], one of K for each token of a text.
TargetKind = Literal["classes", "labels", "numbers", "masks", "boxes", "points", "tags"]
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
#: Stands for the class of an image that has none. It is far from every class, so that a slip in labels is found.
UNLABELLED = -(2**31)
#: Parts of equal size that numbers are divided into, so that each split has its share of each.
_TENTHS = 10


def kind_of_targets(labels: Tensor) -> TargetKind:
    """Returns the kind of a source's labels by their shape and type (see `TargetKind`)."""
    if labels.ndim == 1:
        return "classes"
    if are_points(labels):
        return "points"
    if labels.ndim == 3:
        return "boxes" if labels.is_floating_point() and labels.shape[2] == COLUMNS else "masks"
    if labels.dtype == torch.int16:
        return "tags"
    return "numbers" if labels.is_floating_point() else "labels"


def batch_targets(labels: Tensor) -> Any:
    """Returns some of a source's labels as the targets of a batch: boxes as a list of mappings, all others as they are.

    Args:
        labels: [B, ...] of a source.
    """
    return box_list(labels) if kind_of_targets(labels) == "boxes" else labels


def check_targets(labels: Tensor, num: int, num_names: int) -> None:
    """Raises InputError unless labels are a source's.

    Args:
        labels: int64 [N] in [0, K) or `UNLABELLED`, uint8 [N, K] of 0 and 1, finite float32 [N, K], or uint8 [N, H, W]
            in [0, K) or `IGNORED`; int16 [N, T] in [0, K), or below 0 for tokens without a tag; boxes, float32
            [N, M, 6]; or points, float32 [N, P, 2].
        num: N.
        num_names: K.
    """
    got = f"got {labels.dtype} {list(labels.shape)}"
    if kind_of_targets(labels) == "boxes":
        check_packed(labels, num, num_names)
        return
    if are_points(labels):
        check_points(labels, num, num_names)
        return
    if labels.ndim == 3:
        if labels.dtype != torch.uint8 or len(labels) != num:
            raise InputError(f"masks must be uint8 [{num}, H, W], one for each image, {got}")
        present = torch.bincount(labels.reshape(-1), minlength=256)[:IGNORED].nonzero()
        if len(present) and (largest := int(present[-1])) >= num_names:
            raise InputError(
                f"masks must hold 0 to {num_names - 1}, or {IGNORED} for pixels that do not count, got {largest}; "
                "check the classes"
            )
        return
    if labels.ndim != 2:
        if labels.dtype != torch.int64 or labels.shape != (num,):
            raise InputError(f"labels must be int64 [{num}], one for each image, {got}")
        known = labels[labels != UNLABELLED]
        if len(known) and (int(known.min()) < 0 or int(known.max()) >= num_names):
            raise InputError(
                f"labels must be 0 to {num_names - 1}, got {int(known.min())} to {int(known.max())}; check the classes"
            )
        return
    if labels.dtype == torch.int16:
        if len(labels) != num or (labels.numel() and int(labels.max()) >= num_names):
            raise InputError(f"tags must be int16 [{num}, T] below {num_names}, {got}; check the classes")
        return
    if labels.dtype not in (torch.uint8, torch.float32) or labels.shape != (num, num_names):
        raise InputError(
            f"several targets of each image must be uint8 or float32 [{num}, {num_names}], one for each name, {got}"
        )
    if labels.dtype == torch.uint8 and num and int(labels.max()) > 1:
        raise InputError(f"labels must be 0 or 1 for each image, got {int(labels.max())}; numbers are float32")
    if not bool(labels.isfinite().all()):
        row = int((~labels.isfinite()).any(1).nonzero()[0])
        raise InputError(f"numbers must be finite, got {labels[row].tolist()} of image {row}; leave it out")


def are_unlabelled(labels: Tensor) -> bool:
    """Returns whether some of a source's images have no class.

    Args:
        labels: of the source, or of some of its images.
    """
    return labels.ndim == 1 and bool((labels == UNLABELLED).any())


def strata_of(labels: Tensor) -> Tensor:
    """Returns int64 [N] in whose shares splits are drawn.

    Those are classes, sets of labels, tenths of the first number, the class of most of a mask's pixels that count or of
    most of an image's boxes, the number of its points, or the highest tag of a text.

    Args:
        labels: of a source.
    """
    if labels.ndim == 1:
        return labels
    if kind_of_targets(labels) == "boxes":
        return main_classes(labels)
    if are_points(labels):
        return number_of_points(labels)
    if labels.ndim == 3:
        counts = [torch.bincount(mask.reshape(-1), minlength=256)[:IGNORED] for mask in labels]
        return torch.stack(counts).argmax(1) if counts else labels.new_zeros(0, dtype=torch.int64)
    if labels.dtype == torch.int16:
        return labels.amax(1).long()
    if not labels.is_floating_point():
        inverse: Tensor = torch.unique(labels, dim=0, return_inverse=True)[1]
        return inverse
    ranks = labels[:, 0].argsort(stable=True).argsort(stable=True)
    return ranks * _TENTHS // max(1, len(labels))


def target_problem(dtype: np.dtype[Any], shape: Sequence[int], num: int, name: str, kind: TargetKind) -> str | None:
    """Returns the fault of an array of targets by its type and shape alone; None without a fault.

    Args:
        dtype: of the array.
        shape: of the array.
        num: N, the number of images.
        name: of the array.
        kind: the kind that they should have.
    """
    if kind == "classes":
        problem = label_problem(dtype, shape, num, name)
        several = problem and dtype.kind in "iufb" and (dtype.kind == "f" or len(shape) == 2) and shape[:1] == (num,)
        return (
            f'{problem}; where they are several labels or numbers, set targets to "labels" or "numbers"'
            if several
            else problem
        )
    if kind in ("masks", "boxes", "points"):
        return _dense_problem(dtype, shape, num, name, kind)
    wanted = "[N, K] of 0 and 1" if kind == "labels" else "numbers [N] or [N, D]"
    rule = f"{name} must be {wanted}, for each of the {num:,} images, got {dtype} {list(shape)}"
    if dtype.kind not in "iufb":
        return f"{rule}; save an array of numbers"
    if len(shape) != 2 and (kind == "labels" or len(shape) != 1):
        way = f"; lists of labels become so with np.stack([np.isin(np.arange(K), one) for one in {name}])"
        return rule + (way if kind == "labels" and len(shape) == 1 else "")
    if shape[0] != num:
        return f"{rule}; do images and targets belong together?"
    return f"{rule}; leave them out where there is nothing to predict" if 0 in shape else None


_DENSE: dict[TargetKind, tuple[str, str, str]] = {
    "masks": ("masks [N, H, W] of whole numbers", "iub", "save the class of each pixel"),
    "boxes": ("boxes [N, M, 5]", "iuf", "save x1, y1, x2, y2 and the class of each box"),
    "points": ("points [N, P, 2]", "iuf", "save x and y of each, NaN where one is not in the image"),
}


def _dense_problem(dtype: np.dtype[Any], shape: Sequence[int], num: int, name: str, kind: TargetKind) -> str | None:
    wanted, kinds, remedy = _DENSE[kind]
    rule = f"{name} must be {wanted}, for each of the {num:,} images, got {dtype} {list(shape)}"
    if dtype.kind not in kinds or len(shape) != 3:
        way = f"; drop the channel with {name}.squeeze(1)" if len(shape) == 4 and shape[1] == 1 else ""
        return f"{rule}{way or f'; {remedy}'}"
    return None if shape[0] == num else f"{rule}; do images and {kind} belong together?"


def as_masks(values: np.ndarray, where: str) -> Tensor:
    """Returns an array as a source's masks, uint8 [N, H, W].

    Args:
        values: whole numbers [N, H, W] from 0 to 254, or `IGNORED` or -1 for pixels that do not count.
        where: its origin, for errors.

    Raises:
        InputError: a number is out of range.
    """
    masks = torch.from_numpy(np.array(values, np.int64))
    masks = masks.where(masks != -1, IGNORED)
    if masks.numel() and not 0 <= int(masks.min()) <= int(masks.max()) <= IGNORED:
        raise InputError(
            f"{where}: masks must hold classes from 0 to {IGNORED - 1}, or {IGNORED} or -1 for pixels that do not "
            f"count, got {int(masks.min())} to {int(masks.max())}; number the classes from 0"
        )
    return masks.to(torch.uint8)


def as_targets(values: np.ndarray, kind: TargetKind, where: str) -> Tensor:
    """Returns an array as a source's labels.

    Args:
        values: [N, K] of 0 and 1 for ``labels`` (shares between them stay fractions), [N] or [N, D] for ``numbers``.
        kind: one of both kinds.
        where: its origin, for errors.

    Raises:
        InputError: a value is no number, or a label is not between 0 and 1.
    """
    numbers = torch.from_numpy(np.array(values, np.float32, ndmin=1))
    numbers = numbers[:, None] if numbers.ndim == 1 else numbers
    if kind == "numbers":
        return numbers
    if not bool(((numbers >= 0) & (numbers <= 1)).all()):
        row = int((~((numbers >= 0) & (numbers <= 1))).any(1).nonzero()[0])
        raise InputError(
            f"{where}: labels must be 0 or 1, got {numbers[row].tolist()} of image {row}; numbers to be predicted are "
            "read with data.arguments.targets: numbers"
        )
    whole = bool(((numbers == 0) | (numbers == 1)).all())
    return numbers.to(torch.uint8) if whole else numbers


def target_names(count: int, kind: TargetKind) -> tuple[str, ...]:
    """Returns the names of labels or numbers that have none."""
    return ("target",) if kind == "numbers" and count == 1 else tuple(str(index) for index in range(count))
