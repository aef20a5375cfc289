"""Boxes and masks drawn on their images, a colour for each class."""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from rolewise.batch import IGNORED

#: Step between the hues of classes: of the golden angle, so that neighbours are far apart.
_STEP = 0.618


def with_boxes(images: Tensor, labels: Tensor) -> Tensor:
    """Returns images with the outlines of their boxes; boxes that do not count are white.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3. Not changed.
        labels: packed boxes, float32 [N, M, 6].
    """
    drawn = images.clone()
    height, width = images.shape[2:]
    thick = max(1, min(height, width) // 120)
    for image, rows in zip(drawn, labels, strict=True):
        for x1, y1, x2, y2, label, aside in rows.tolist():
            if label < 0:
                continue
            left, top = min(int(x1), width - 1), min(int(y1), height - 1)
            right, bottom = min(max(left + 1, round(x2)), width), min(max(top + 1, round(y2)), height)
            colour = _colour(int(label), bool(aside), image.shape[0])
            for rows_, columns in (
                (slice(top, min(top + thick, bottom)), slice(left, right)),
                (slice(max(top, bottom - thick), bottom), slice(left, right)),
                (slice(top, bottom), slice(left, min(left + thick, right))),
                (slice(top, bottom), slice(max(left, right - thick), right)),
            ):
                image[:, rows_, columns] = colour
    return drawn


def _colour(label: int, aside: bool, channels: int) -> Tensor:
    """Returns a class's colour or grey level, uint8 [C, 1, 1]."""
    hue = (1.0, 1.0, 1.0) if aside else colorsys.hsv_to_rgb((0.33 + label * _STEP) % 1, 1.0, 1.0)
    levels = torch.tensor(hue) * 255
    levels = levels if channels == 3 else levels.mean().view(1)
    return levels.round().to(torch.uint8).view(-1, 1, 1)


def with_masks(images: Tensor, masks: Tensor) -> Tensor:
    """Returns images with half of each class's colour on its pixels; the first class and pixels that do not count stay.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3. Not changed.
        masks: uint8 [N, H, W].
    """
    marked = ((masks != 0) & (masks != IGNORED))[:, None]
    half = (images.int() + coloured(masks, images.shape[1]).int()).div(2, rounding_mode="floor").to(torch.uint8)
    return torch.where(marked, half, images)


def coloured(masks: Tensor, channels: int) -> Tensor:
    """Returns masks as pictures, uint8 [N, C, H, W]: a colour or grey level for each class, white for ignored pixels.

    Args:
        masks: uint8 [N, H, W].
        channels: C, 1 or 3.
    """
    # Steps of the golden angle keep neighbouring numbers apart, however many classes there are.
    hues = [colorsys.hsv_to_rgb((at * 0.618) % 1, 0.75, 0.45 + 0.45 * (at % 3) / 2) for at in range(IGNORED)]
    table = torch.tensor([*hues, (1.0, 1.0, 1.0)])
    table[0] = 0
    colours = (table * 255).to(torch.uint8)[masks.long()].movedim(3, 1)
    return colours if channels == 3 else colours.float().mean(1, keepdim=True).to(torch.uint8)
