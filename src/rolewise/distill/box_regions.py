"""The locations of a dense detector that know most of where a box is, beside those that learn it."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.tasks.box_geometry import box_iou

#: The side of a location's square, in strides, and the number of squares of a level that a box's threshold is from.
_SIDE, _NEAREST = 8, 9
#: The least distance-IoU of a valuable location, as a part of the box's threshold.
_LEAST = 0.25


def valuable_locations(locations: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    r"""Returns the weight [A] of each location that is near a box without being at it; 0 for all others.

    A location stands for a square of 8 strides around it. Of each box the threshold t is the mean plus the standard
    deviation of its IoU with the 9 nearest squares of each level. A location is valuable where its distance-IoU with
    some box is at least t / 4 and below t, and its weight is the greatest IoU with such a box.

    .. math:: \mathrm{DIoU} = \mathrm{IoU} - d^2 / c^2

    with d the distance of the centres, and c the diagonal of the smallest upright box around both.

    Source: Zheng et al. (2022), section 3.3, https://arxiv.org/abs/2102.12252; the weight of the authors' code.
    Differs from source: none.

    Args:
        locations: [A, 2] (x, y) in pixels.
        strides: [A] in pixels.
        boxes: [M, 4] in pixels.
    """
    weights = locations.new_zeros(len(locations))
    if not len(boxes):
        return weights
    half = _SIDE * strides[:, None] / 2
    squares = torch.cat([locations - half, locations + half], 1)
    overlap = box_iou(squares, boxes)
    apart = (locations[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).square().sum(2)
    low, high = (torch.minimum(squares[:, None], boxes), torch.maximum(squares[:, None], boxes))
    distance_iou = overlap - apart / (high[..., 2:] - low[..., :2]).square().sum(2)
    candidates = []
    for stride in torch.unique(strides):
        level = (strides == stride).nonzero()[:, 0]
        nearest = apart[level].topk(min(_NEAREST, len(level)), dim=0, largest=False).indices
        candidates.append(overlap[level].gather(0, nearest))
    near = torch.cat(candidates)
    threshold = near.mean(0) + (near.std(0) if len(near) > 1 else 0.0)
    valuable = (distance_iou >= _LEAST * threshold) & (distance_iou < threshold)
    return torch.where(valuable, overlap, 0.0).amax(1)
