"""Checks of boxes and of a detector's outputs, before torch fails on them or trains on them in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Outputs
from rolewise.errors import InputError
from rolewise.tasks.detection_outputs import DENSE
from rolewise.tasks.target_checks import check_place

_RULE = (
    'targets of the task detection must be a list with a mapping for each image, {"boxes": floating point [M, 4], '
    '"labels": int64 [M]}'
)


def check_boxes(images: Any, targets: object) -> None:
    """Raises InputError unless targets are boxes and labels for each image; values are never read.

    Args:
        images: of the batch: [B, C, H, W], or a list of images [C, H, W].
        targets: of the batch.
    """
    if not isinstance(targets, (list, tuple)):
        way = ""
        if isinstance(targets, Tensor) and targets.ndim == 3 and targets.shape[-1] == 6:
            way = "; make it of a source's packed boxes with rolewise.data.box_list(labels)"
        elif isinstance(targets, Mapping):
            way = "; give one mapping for each image"
        got = f"{targets.dtype} {list(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        raise InputError(f"{_RULE}, got {got}{way}")
    if not isinstance(images, (Tensor, list, tuple)) or len(images) != len(targets) or not len(targets):
        count = len(images) if isinstance(images, (Tensor, list, tuple)) else type(images).__name__
        raise InputError(f"{_RULE}, got {len(targets)} for {count} images")
    for row, target in enumerate(targets):
        if not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
            got = ", ".join(map(str, target)) if isinstance(target, Mapping) else type(target).__name__
            raise InputError(f"{_RULE}, got {got or 'an empty mapping'} for image {row}")
        _check_target(row, target)


def _check_target(row: int, target: Mapping[str, Any]) -> None:
    boxes, labels, crowd = target["boxes"], target["labels"], target.get("iscrowd")
    if not isinstance(boxes, Tensor) or not boxes.is_floating_point() or boxes.ndim != 2 or boxes.shape[1] != 4:
        got = f"{boxes.dtype} {list(boxes.shape)}" if isinstance(boxes, Tensor) else type(boxes).__name__
        way = "; an image without a box has torch.zeros(0, 4)" if isinstance(boxes, Tensor) and not len(boxes) else ""
        raise InputError(f"boxes of image {row} must be floating point [M, 4] (x1, y1, x2, y2), got {got}{way}")
    for name, value, kinds in (("labels", labels, (torch.int64,)), ("iscrowd", crowd, (torch.int64, torch.bool))):
        if name == "iscrowd" and value is None:
            continue
        if not isinstance(value, Tensor) or value.dtype not in kinds or value.shape != boxes.shape[:1]:
            got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            kind = " or ".join(str(one).removeprefix("torch.") for one in kinds)
            raise InputError(f"{name} of image {row} must be {kind} [{len(boxes)}], one for each box, got {got}")


def check_dense_outputs(outputs: Outputs, batch_size: int, device_of: Tensor | None) -> None:
    """Raises InputError unless a dense detector's outputs go together and are of the batch.

    Args:
        outputs: with logits.
        batch_size: B.
        device_of: boxes of the batch, or None.
    """
    logits, boxes = outputs.logits, outputs.values["boxes"]
    rule = f"the student must return logits [B, A, K] and boxes [B, A, 4] for {batch_size} images and the same A"
    if logits.ndim != 3 or len(logits) != batch_size or tuple(boxes.shape) != (*logits.shape[:2], 4):
        raise InputError(f"{rule}, got {list(logits.shape)} and {list(boxes.shape)}")
    places = logits.shape[1]
    for name, shape in (("locations", (places, 2)), ("strides", (places,))):
        if tuple(outputs.values[name].shape) != shape:
            raise InputError(f"{name} must be {list(shape)}, got {list(outputs.values[name].shape)}")
    spread = outputs.values.get("distribution")
    if spread is not None and (spread.ndim != 4 or spread.shape[:3] != boxes.shape or spread.shape[3] < 2):
        raise InputError(f"distribution must be {[*boxes.shape, 'R']} with R at least 2, got {list(spread.shape)}")
    if device_of is not None:
        check_place(logits, device_of)


def check_box_values(targets: Any, num_classes: int | None) -> None:
    """Raises InputError unless boxes are finite and have an area, and labels are classes; their values are read.

    Args:
        targets: of the batch.
        num_classes: K, or None where it is not known.
    """
    for row, target in enumerate(targets):
        boxes, labels = target["boxes"], target["labels"]
        if not len(boxes):
            continue
        good = boxes.isfinite().all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        if not bool(good.all()):
            wrong = boxes[~good][0].tolist()
            raise InputError(
                f"boxes of image {row} must have x1 < x2 and y1 < y2, got {wrong}; leave out boxes without an area, "
                "and bring (x, y, width, height) to corners"
            )
        low, high = (int(value) for value in labels.aminmax())
        if low < 0 or (num_classes is not None and high >= num_classes):
            raise InputError(
                f"labels of image {row} must be classes from 0 to {'K' if num_classes is None else num_classes} - 1, "
                f"got {low if low < 0 else high}; the background is no class here: number classes from 0"
            )


def check_same_locations(student: Outputs, teacher: Outputs) -> None:
    """Raises InputError unless two detectors have logits for the same images, locations and classes."""
    for role, outputs in (("student", student), ("teacher", teacher)):
        if "logits" not in outputs.values:
            raise InputError(
                f"{role} must return logits [B, A, K] of a dense detector for methods on logits, got "
                f"{', '.join(outputs.values) or 'its own losses'} ({', '.join(DENSE)} are read); take methods on "
                "features, which any detector has"
            )
    if student.logits.shape != teacher.logits.shape:
        raise InputError(
            "student and teacher must return logits [B, A, K] for the same images, locations and classes, "
            f"got {list(student.logits.shape)} and {list(teacher.logits.shape)}; give both the same strides"
        )
