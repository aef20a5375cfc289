"""Tone operations as tables: for each image and channel the new grey level of each of the 256 old ones.

The arithmetic is Pillow's (truncation where Pillow truncates), so that results agree to the grey level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment.ops import INDEX

TONE = tuple(
    INDEX[name] for name in ("brightness", "contrast", "posterize", "solarize", "autocontrast", "equalize", "invert")
)


def grey(images: Tensor) -> Tensor:
    """Returns the luma [n, H, W] int32 of images [n, C, H, W] uint8, as Pillow's ``convert("L")`` computes it."""
    if images.shape[1] == 1:
        return images[:, 0].int()
    red, green, blue = images[:, 0].int(), images[:, 1].int(), images[:, 2].int()
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


def blend(degenerate: Tensor, image: Tensor, factor: Tensor) -> Tensor:
    """Returns degenerate + factor (image - degenerate), cut off at 0 and 255 and truncated, as uint8."""
    mixed = torch.addcmul(degenerate, image - degenerate, factor)
    return mixed.clamp_(0, 255).to(torch.uint8)


def tables(op: int, values: Tensor, images: Tensor) -> Tensor:
    """Returns the tables of one operation.

    Args:
        op: the operation's number.
        values: [n], in the operation's unit.
        images: [n, C, H, W] uint8; some operations read their statistics.

    Returns:
        [n, 1 or C, 256] uint8.
    """
    levels = torch.arange(256, device=images.device)
    column = values.view(-1, 1, 1)
    if op == INDEX["brightness"]:
        return blend(torch.zeros(1, device=images.device), levels.float().view(1, 1, -1), column + 1)
    if op == INDEX["contrast"]:
        mean = (grey(images).double().mean(dim=(1, 2)) + 0.5).floor().float().view(-1, 1, 1)
        return blend(mean, levels.float().view(1, 1, -1), column + 1)
    if op == INDEX["posterize"]:
        removed = (column + 0.5).floor().long()
        return ((levels.view(1, 1, -1) >> removed) << removed).to(torch.uint8)
    if op == INDEX["solarize"]:
        return torch.where(levels.view(1, 1, -1) >= 256 - column, 255 - levels, levels).to(torch.uint8)
    if op == INDEX["invert"]:
        full = (255 - levels).view(1, 1, -1).expand(len(values), 1, 256)
    elif op == INDEX["autocontrast"]:
        full = _autocontrast(images, levels)
    else:
        full = _equalize(images, levels)
    return (levels + column * (full - levels) + 0.5).floor().to(torch.uint8)


def _autocontrast(images: Tensor, levels: Tensor) -> Tensor:
    flat = images.flatten(2)
    low, high = flat.amin(2, keepdim=True).double(), flat.amax(2, keepdim=True).double()
    # Not 255 / span, which torch computes as a reciprocal times 255, off in the last bit.
    scale = torch.full_like(high, 255.0) / (high - low).clamp_min(1)
    stretched = (levels * scale - low * scale).clamp_(0, 255).floor().long()
    return torch.where(high > low, stretched, levels)


def _equalize(images: Tensor, levels: Tensor) -> Tensor:
    count, channels = images.shape[:2]
    rows = count * channels
    flat = images.reshape(rows, -1).long()
    histogram = torch.zeros(rows, 256, dtype=torch.long, device=images.device)
    histogram.scatter_add_(1, flat, torch.ones_like(flat))
    last = histogram.gather(1, flat.amax(1, keepdim=True))
    step = (flat.shape[1] - last) // 255
    before = histogram.cumsum(1) - histogram
    divisor = step.clamp_min(1)
    table = ((before + divisor // 2) // divisor).clamp_max(255)
    return torch.where(step > 0, table, levels).view(count, channels, 256)


def look_up(images: Tensor, table: Tensor) -> Tensor:
    """Replaces every pixel of [n, C, H, W] uint8 by its entry in [n, 1 or C, 256]."""
    count, channels = images.shape[:2]
    # Numbers of 32 bits, which gather does not take: half the memory to move.
    first = torch.arange(0, count * channels * 256, 256, dtype=torch.int32, device=images.device)
    index = images.reshape(count * channels, -1) + first.unsqueeze(1)
    return table.expand(count, channels, 256).reshape(-1).index_select(0, index.view(-1)).view_as(images)
