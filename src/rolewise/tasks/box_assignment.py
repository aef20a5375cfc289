"""The locations of a dense detector that learn a box: inside it, near its centre, and on its level."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.tasks.box_geometry import box_areas, distances_to_sides

#: A level of stride s learns boxes whose farthest side is at most so many s from a location: 64 pixels at stride 8.
REACH = 8


def assigned_boxes(locations: Tensor, strides: Tensor, boxes: Tensor, radius: float) -> Tensor:
    """Returns the box that each location learns: int64 [A], -1 for the background.

    A location learns a box if it lies within it, at most ``radius`` strides from its centre in both directions, and if
    the farthest side is within the reach of its level: above 8 strides of the next finer level (no lower limit at the
    finest), up to 8 strides of its own (no upper limit at the coarsest). Of several boxes it learns the smallest.

    Source: Tian et al. (2019), section 3, https://arxiv.org/abs/1904.01355, with the centre sampling of its second
    version (Tian et al., 2020, https://arxiv.org/abs/2006.09214).
    Differs from source: a box without any such location, which is smaller than the grid, is given to the location next
    to its centre on its level, so that none goes unlearned.

    Args:
        locations: [A, 2] (x, y) in pixels.
        strides: [A] in pixels.
        boxes: [M, 4], each with an area.
        radius: in strides, above 0.
    """
    if not len(boxes) or not len(locations):
        return locations.new_full((len(locations),), -1, dtype=torch.int64)
    sides = distances_to_sides(locations[:, None], boxes[None])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = (locations[:, None] - centres[None]).abs().amax(-1)
    farthest, low, high = sides.amax(-1), *_reach(strides)
    learns = (sides.amin(-1) > 0) & (offsets < radius * strides[:, None])
    learns &= (farthest > low[:, None]) & (farthest <= high[:, None])
    lost = ~learns.any(0)
    if bool(lost.any()):
        half = (boxes[:, 2:] - boxes[:, :2]).amax(-1) / 2
        there = (half > low[:, None]) & (half <= high[:, None])
        nearest = torch.where(there, (locations[:, None] - centres[None]).square().sum(-1), torch.inf).argmin(0)
        learns[nearest[lost], lost.nonzero().view(-1)] = True
    smallest = torch.where(learns, box_areas(boxes)[None], torch.inf).argmin(1)
    return torch.where(learns.any(1), smallest, -1)


def _reach(strides: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the limits [A] of the farthest side that a location learns."""
    levels, level = torch.unique(strides, return_inverse=True)
    high = levels * REACH
    low = torch.cat([high.new_zeros(1), high[:-1]])
    high = torch.cat([high[:-1], high.new_full((1,), torch.inf)])
    return low[level], high[level]
