"""Cutout: erases a square at a place that was drawn."""

from __future__ import annotations

import torch
from torch import Tensor

#: Levels that cutout fills with: the rounded mean of CIFAR's channels, as Population Based Augmentation has it.
CUTOUT_FILL = (125, 122, 113)


def cutout(images: Tensor, values: Tensor, draws: Tensor) -> None:
    """Erases a square, in place.

    Args:
        images: [n, C, H, W] uint8.
        values: [n], the side of the square as a fraction of the image's longer side; cut down to an even number of
            pixels.
        draws: [n, 2] in [0, 1), the place of its middle along x and y. What falls outside the image is lost.
    """
    channels, height, width = images.shape[1:]
    half = (values * (max(height, width) / 2) + 1e-4).floor().unsqueeze(1)
    masks = []
    for axis, side in ((0, width), (1, height)):
        middle = (draws[:, axis : axis + 1] * side).floor()
        place = torch.arange(side, device=images.device)
        masks.append((place >= middle - half) & (place < middle + half))
    # 255 in the hole and 0 elsewhere, so that bits do what a slower choice between two images would do.
    hole = (masks[1].unsqueeze(2) & masks[0].unsqueeze(1)).view(torch.uint8).neg_().unsqueeze(1)
    levels = CUTOUT_FILL if channels == 3 else (0,)
    colour = torch.tensor(levels, dtype=torch.uint8, device=images.device).view(1, -1, 1, 1)
    images.bitwise_and_(~hole).bitwise_or_(hole & colour)
