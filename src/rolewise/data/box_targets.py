"""Boxes of images: packed in a source as one tensor, and a list for each image in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rolewise.errors import InputError

#: Of a packed box: x1, y1, x2, y2 in pixels, its class (-1 fills up), 1 where it is neither learned nor counted.
COLUMNS = 6
#: Pixels by which a box may overhang its image, for rounding.
_SLACK = 0.01


def packed_boxes(images: Sequence[tuple[np.ndarray, Sequence[int], Sequence[bool]]]) -> Tensor:
    """Returns the boxes of N images as float32 [N, M, 6], M those of the image that has most.

    Args:
        images: boxes [m, 4] in pixels, their classes [m], and whether each is neither learned nor counted [m].
    """
    most = max((len(labels) for _, labels, _ in images), default=0)
    table = torch.zeros(len(images), most, COLUMNS)
    table[:, :, 4] = -1
    for row, (boxes, labels, aside) in enumerate(images):
        if len(labels):
            table[row, : len(labels), :4] = torch.from_numpy(np.asarray(boxes, np.float32))
            table[row, : len(labels), 4] = torch.tensor(list(labels), dtype=torch.float32)
            table[row, : len(labels), 5] = torch.tensor([float(one) for one in aside])
    return table


def box_list(labels: Tensor) -> list[dict[str, Tensor]]:
    """Returns packed boxes as the targets of a batch: ``boxes``, ``labels`` and ``iscrowd`` of each image.

    Args:
        labels: float32 [B, M, 6], of a source.
    """
    found = []
    for rows in labels:
        rows = rows[rows[:, 4] >= 0]
        found.append({"boxes": rows[:, :4], "labels": rows[:, 4].long(), "iscrowd": rows[:, 5].long()})
    return found


def packed_again(targets: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Returns the targets of a batch as packed boxes [B, M, 6]; the inverse of `box_list`."""
    return packed_boxes(
        [
            (
                target["boxes"].cpu().numpy(),
                target["labels"].tolist(),
                target["iscrowd"].bool().tolist() if "iscrowd" in target else [False] * len(target["labels"]),
            )
            for target in targets
        ]
    )


def joined_boxes(parts: Sequence[Tensor]) -> Tensor:
    """Returns the packed boxes of several sets of images as those of one.

    Args:
        parts: float32 [N, M, 6] each, of any M.
    """
    most = max(part.shape[1] for part in parts)
    joined = torch.zeros(sum(map(len, parts)), most, COLUMNS)
    joined[:, :, 4] = -1
    for rows, part in zip(torch.split(joined, [len(part) for part in parts]), parts, strict=True):
        rows[:, : part.shape[1]] = part
    return joined


def check_packed(labels: Tensor, num: int, num_names: int) -> None:
    """Raises InputError unless labels are packed boxes of a source.

    Args:
        labels: float32 [N, M, 6].
        num: N.
        num_names: K.
    """
    rule = f"boxes must be float32 [{num}, M, {COLUMNS}], x1, y1, x2, y2, class and 1 for those that do not count"
    if labels.dtype != torch.float32 or len(labels) != num or labels.shape[2] != COLUMNS:
        raise InputError(f"{rule}, got {labels.dtype} {list(labels.shape)}; see rolewise.data.packed_boxes")
    there = labels[:, :, 4] != -1
    classes = labels[:, :, 4]
    wrong = there & ~((classes >= 0) & (classes < num_names) & (classes == classes.round()))
    if bool(wrong.any()):
        row = int(wrong.any(1).nonzero()[0])
        value = float(classes[row][wrong[row]][0])
        raise InputError(f"classes of boxes must be 0 to {num_names - 1}, got {value:g} of image {row}; check them")
    boxes = labels[:, :, :4]
    flat = there & ~(boxes.isfinite().all(2) & (boxes[..., 2:] > boxes[..., :2]).all(2))
    if bool(flat.any()):
        row = int(flat.any(1).nonzero()[0])
        raise InputError(
            f"boxes must have x1 < x2 and y1 < y2, got {boxes[row][flat[row]][0].tolist()} of image {row}; leave it out"
        )


def check_within(labels: Tensor, size: tuple[int, int]) -> None:
    """Raises InputError unless packed boxes lie within images of a size (H, W), to a hundredth of a pixel."""
    limit = torch.tensor([size[1], size[0], size[1], size[0]], dtype=torch.float32, device=labels.device)
    boxes = labels[:, :, :4]
    out = (labels[:, :, 4] >= 0) & ((boxes < -_SLACK) | (boxes > limit + _SLACK)).any(2)
    if bool(out.any()):
        row = int(out.any(1).nonzero()[0])
        raise InputError(
            f"boxes must lie within their images, {size[1]} x {size[0]} pixels, got {boxes[row][out[row]][0].tolist()} "
            f"of image {row}; cut it, or bring boxes and images to the same size"
        )


def as_boxes(values: np.ndarray, where: str) -> Tensor:
    """Returns an array as a source's boxes, float32 [N, M, 6].

    Args:
        values: numbers [N, M, 5] or [N, M, 6]: x1, y1, x2, y2, class, and possibly 1 for those that do not count; rows
            of class -1 fill up.
        where: its origin, for errors.

    Raises:
        InputError: it has another shape, or holds other things.
    """
    if values.ndim != 3 or values.shape[2] not in (COLUMNS - 1, COLUMNS) or values.dtype.kind not in "iuf":
        raise InputError(
            f"{where}: boxes must be numbers [N, M, 5] or [N, M, 6]: x1, y1, x2, y2 in pixels, class (-1 fills up), "
            f"and possibly 1 for boxes that do not count, got {values.dtype} {list(values.shape)}"
        )
    table = torch.from_numpy(np.array(values, np.float32))
    if table.shape[2] < COLUMNS:
        table = torch.cat([table, torch.zeros(*table.shape[:2], 1)], 2)
    return table


def main_classes(labels: Tensor) -> Tensor:
    """Returns the class of most boxes of each image, int64 [N]; -1 for one without a box."""
    found = torch.full((len(labels),), -1, dtype=torch.int64)
    for row, classes in enumerate(labels[:, :, 4].long()):
        classes = classes[classes >= 0]
        if len(classes):
            found[row] = torch.bincount(classes).argmax()
    return found
