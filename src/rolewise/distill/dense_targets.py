"""Targets of dense tasks at the places of a feature: masks by the nearest pixel, boxes by the cells that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.errors import InputError
from rolewise.tasks import Task
from rolewise.tasks.detection_outputs import counted_boxes
from rolewise.tasks.pixel_logits import counted_labels, nearest_mask

#: Stands for the class of a place that does not count.
NOT_COUNTED = -1
#: Part of a cell that counts as rounding where a box ends at the border of a cell.
_ROUNDING = 1e-4


def class_masks(batch: Batch, task: Task) -> Tensor:
    """Returns the masks of a batch, int64 [B, H, W], `NOT_COUNTED` where a pixel does not count.

    Args:
        batch: with masks as targets.
        task: segmentation, whose ``ignore`` is the label of pixels that do not count.
    """
    labels, counts = counted_labels(batch.targets, getattr(task, "ignore", None))
    return labels.where(counts, NOT_COUNTED)


def mask_places(masks: Tensor, feature: Tensor) -> Tensor:
    """Returns the classes of a map's places, int64 [B, h, w]: each is that of the mask's nearest pixel.

    Args:
        masks: int64 [B, H, W] of the whole images.
        feature: a map [B, D, h, w] of the same images.

    Raises:
        InputError: there is another number of masks than of maps.
    """
    if masks.ndim != 3 or len(masks) != len(feature):
        raise InputError(f"masks must be [{len(feature)}, H, W], one for each map, got {list(masks.shape)}")
    return nearest_mask(masks, feature.shape[2], feature.shape[3])


def box_fractions(batch: Batch, name: str) -> list[Tensor]:
    """Returns the boxes of each image, float64 [M, 4], in fractions of its width and height from its upper left.

    Args:
        batch: images [B, C, H, W] with boxes (x1, y1, x2, y2) in pixels, as the targets of the task detection are: a
            mapping with ``boxes`` for each image. Those marked by ``iscrowd`` are left out.
        name: of the method, for errors.

    Raises:
        InputError: targets are no boxes, or the images have no common size.
    """
    targets: Any = batch.targets
    if not isinstance(targets, (list, tuple)) or not all("boxes" in target for target in targets):
        raise InputError(
            f'targets must be a list of mappings with boxes for "{name}", which reads the places of objects, got '
            f"{type(targets).__name__}; it is a method of the task detection"
        )
    if not isinstance(batch.inputs, Tensor) or batch.inputs.ndim != 4:
        raise InputError(
            f'images must be one tensor [B, C, H, W] for "{name}", which brings boxes to the places of maps, got '
            f"{type(batch.inputs).__name__}; pad the images to one size"
        )
    height, width = batch.inputs.shape[-2:]
    scale = torch.tensor([width, height, width, height], dtype=torch.float64, device=batch.inputs.device)
    return [target["boxes"][counted_boxes(target)].to(scale) / scale for target in targets]


def covered_cells(boxes: Tensor, grid: Sequence[int]) -> Tensor:
    """Returns the cells of a grid over an image that each box covers at least in part, bool [M, h, w].

    A box covers at least one cell, however small it is, and none outside of the grid.

    Args:
        boxes: [M, 4] as (x1, y1, x2, y2), in fractions of the image.
        grid: (h, w), cells of equal size along the image's height and width.
    """
    inside = []
    for side, axis in ((grid[0], 1), (grid[1], 0)):
        first = (boxes[:, axis] * side + _ROUNDING).floor().clamp(0, side - 1)
        last = ((boxes[:, axis + 2] * side - _ROUNDING).ceil() - 1).clamp(0, side - 1)
        places = torch.arange(side, device=boxes.device)
        inside.append((places >= first[:, None]) & (places <= torch.maximum(first, last)[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]


def smallest_box_weights(boxes: Tensor, grid: Sequence[int]) -> Tensor:
    """Returns float64 [h, w]: 1 / n at a cell of a box that covers n cells, of the smallest box there; 0 elsewhere.

    Args:
        boxes: [M, 4], in fractions of the image.
        grid: (h, w).
    """
    covered = covered_cells(boxes, grid).to(torch.float64)
    if not len(covered):
        return torch.zeros(tuple(grid), dtype=torch.float64, device=boxes.device)
    return (covered / covered.sum((1, 2), keepdim=True)).amax(0)
