"""Targets that lie in the image, moved with it: masks, boxes and points of an image feed."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment import Plan, apply_to_boxes, apply_to_masks, apply_to_points
from rolewise.batch import IGNORED
from rolewise.data.targets import kind_of_targets


def lie_in_image(labels: Tensor) -> bool:
    """Returns whether a source's labels are places in the image, and move with it."""
    return kind_of_targets(labels) in ("masks", "boxes", "points")


def moved_labels(labels: Tensor, plan: Plan, size: tuple[int, int]) -> Tensor:
    """Moves some of a source's labels as their images are moved; those that are no places stay.

    Boxes of which too little is left in the image are taken out (see `rolewise.augment.apply_to_boxes`), and points
    that leave it become NaN.

    Args:
        labels: [B, ...] of a source.
        plan: for the images.
        size: (H, W) of the images.

    Returns:
        Labels of the same form. Not changed in place.
    """
    kind = kind_of_targets(labels)
    if kind == "masks":
        return apply_to_masks(labels, plan, fill=IGNORED)
    if kind == "points":
        return _moved_points(labels, plan, size)
    # Without an operation boxes stay to the bit, also such as touch the edge.
    if kind != "boxes" or not plan.ops.shape[1]:
        return labels
    images, places = (labels[:, :, 4] >= 0).nonzero(as_tuple=True)
    boxes, kept = apply_to_boxes(labels[images, places, :4], images, plan, size)
    table = torch.zeros_like(labels)
    table[:, :, 4] = -1
    images, places = images[kept], places[kept]
    table[images, places, :4] = boxes[kept]
    table[images, places, 4:] = labels[images, places, 4:]
    return table


def _moved_points(labels: Tensor, plan: Plan, size: tuple[int, int]) -> Tensor:
    images, places = labels.isfinite().all(2).nonzero(as_tuple=True)
    points, inside = apply_to_points(labels[images, places], images, plan, size)
    moved = torch.full_like(labels, float("nan"))
    moved[images[inside], places[inside]] = points[inside]
    return moved
