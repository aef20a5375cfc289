"""Boxes: areas, overlaps, distances between locations and sides, and the suppression of those that overlap."""

from __future__ import annotations

import torch
from torch import Tensor


def box_areas(boxes: Tensor) -> Tensor:
    """Returns the areas [...] of boxes [..., 4] (x1, y1, x2, y2); 0 where a side is negative."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the intersection over union [N, M] of boxes [N, 4] and [M, 4]; 0 where both have no area."""
    inside = _shared(first[:, None], second[None])
    union = box_areas(first)[:, None] + box_areas(second)[None] - inside
    return inside / torch.where(union > 0, union, 1.0)


def paired_overlap(boxes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns IoU and generalised IoU of boxes, pair by pair.

    .. math:: \mathrm{GIoU} = \mathrm{IoU} - \frac{|H| - |A \cup B|}{|H|}

    with the smallest upright box H around both.

    Source: Rezatofighi et al. (2019), algorithm 1, https://arxiv.org/abs/1902.09630.

    Args:
        boxes: [N, 4].
        wanted: [N, 4], each with an area.

    Returns:
        IoU [N] in [0, 1], GIoU [N] in (-1, 1].
    """
    inside = _shared(boxes, wanted)
    union = box_areas(boxes) + box_areas(wanted) - inside
    corners = torch.minimum(boxes[:, :2], wanted[:, :2]), torch.maximum(boxes[:, 2:], wanted[:, 2:])
    hull = (corners[1] - corners[0]).prod(-1)
    iou = inside / union
    return iou, iou - (hull - union) / hull


def _shared(first: Tensor, second: Tensor) -> Tensor:
    """Returns the area of the intersection of boxes [..., 4] that broadcast."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp(min=0).prod(-1)


def distances_to_sides(locations: Tensor, boxes: Tensor) -> Tensor:
    """Returns the distances (left, top, right, bottom) [..., 4] from locations to the sides of boxes, in pixels.

    Args:
        locations: [..., 2] (x, y).
        boxes: [..., 4] that broadcast with them. A distance is negative where the location is beyond the side.
    """
    return torch.cat([locations - boxes[..., :2], boxes[..., 2:] - locations], -1)


def boxes_around(locations: Tensor, distances: Tensor) -> Tensor:
    """Returns the boxes [..., 4] whose sides are at distances (left, top, right, bottom) [..., 4] from locations."""
    return torch.cat([locations - distances[..., :2], locations + distances[..., 2:]], -1)


def suppressed(boxes: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> Tensor:
    """Returns the boxes that non-maximum suppression keeps, class by class: int64 [D], the highest score first.

    A box is kept unless its IoU with one of its class that is kept and comes before it is above ``overlap``. Of equal
    scores the first comes first.

    Args:
        boxes: [N, 4].
        scores: [N].
        labels: int64 [N].
        overlap: in [0, 1].
    """
    order = scores.argsort(descending=True, stable=True)
    places, classes = boxes[order], labels[order]
    rivals = (box_iou(places, places) > overlap) & (classes[:, None] == classes[None])
    rivals = rivals.triu(1)
    kept = torch.ones_like(order, dtype=torch.bool)
    # Each pass settles at least the first box that is not settled yet, and usually nearly all of them.
    while True:
        now = ~(rivals & kept[:, None]).any(0)
        if bool((now == kept).all()):
            return order[kept]
        kept = now
