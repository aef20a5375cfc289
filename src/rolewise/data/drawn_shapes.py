"""Images with boxes that need no files: drawn squares and discs, small and large."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rolewise.data.box_targets import packed_boxes
from rolewise.data.image_sources import ImageData

#: Sides of small and of large shapes, as parts of an image's height.
_SMALL, _LARGE = (0.12, 0.22), (0.45, 0.6)


def drawn_shapes(count: int, size: tuple[int, int], draws: torch.Generator) -> ImageData:
    """Returns images of bright squares and discs on dark noise, with their boxes.

    Every image has two small shapes, and two of three have a large one behind them.

    Args:
        count: N.
        size: height and width in pixels; large shapes are up to six tenths of the height wide.
        draws: generator of the noise, of places, sides and classes.

    Returns:
        uint8 [N, 3, H, W] of the classes square and disc.
    """
    high, wide = size
    images = torch.randint(0, 60, (count, 3, high, wide), generator=draws, dtype=torch.uint8)
    down, across = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    boxes = []
    for at, image in enumerate(images):
        found, labels = [], []
        for low, most in [*([_LARGE] if at % 3 else []), _SMALL, _SMALL]:
            chosen = torch.rand(4, generator=draws)
            side = round(float(low + (most - low) * chosen[0]) * high)
            y, x = int(chosen[1] * (high - side)), int(chosen[2] * (wide - side))
            label = int(chosen[3] * 2)
            image[:, _inside(down - y, across - x, side, disc=label == 1)] = 160 + 40 * label
            found.append([x, y, x + side, y + side])
            labels.append(label)
        boxes.append((np.array(found, float), labels, [False] * len(labels)))
    return ImageData(images, packed_boxes(boxes), ("square", "disc"))


def _inside(down: Tensor, across: Tensor, side: int, *, disc: bool) -> Tensor:
    """Returns bool [H, W], the pixels of a shape whose upper left corner is the origin."""
    if disc:
        return (down - side / 2).square() + (across - side / 2).square() <= (side / 2) ** 2
    return (down >= 0) & (down < side) & (across >= 0) & (across < side)
