"""Tone operations: each grey level becomes another, the same all over the channel. Results are Pillow's to the level.

Every function works in place on images [n, C, H, W] uint8, contiguous, with values [n], in the operation's unit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def posterize(images: Tensor, values: Tensor) -> None:
    """Removes the lowest bits."""
    removed = (values + 0.5).clamp_(0, 8).int()
    images.bitwise_and_(((255 >> removed) << removed).to(torch.uint8).view(-1, 1, 1, 1))


def solarize(images: Tensor, values: Tensor) -> None:
    """Inverts the levels from 256 - value up."""
    lowest = (256 - values).ceil_()
    # A threshold of 256 does not fit into a byte; nothing is inverted then.
    turn = (lowest < 256).view(torch.uint8).neg_().view(-1, 1, 1, 1)
    above = images >= lowest.clamp_(0, 255).to(torch.uint8).view(-1, 1, 1, 1)
    images.bitwise_xor_(above.view(torch.uint8).neg_().bitwise_and_(turn))


def invert(images: Tensor, values: Tensor) -> None:
    """Inverts where the value is above 0: half an inversion would be an even grey."""
    images.bitwise_xor_((values > 0).view(torch.uint8).neg_().view(-1, 1, 1, 1))


def autocontrast(images: Tensor, values: Tensor) -> None:
    """Stretches each channel from its lowest level to 0 and from its highest to 255, blended in by the value."""
    flat = images.flatten(2)
    low, high = flat.amin(2, keepdim=True).double(), flat.amax(2, keepdim=True).double()
    # Not 255 / span, which torch computes as a reciprocal times 255, off in the last bit.
    scale = torch.full_like(high, 255.0) / (high - low)
    # A channel of one level stays as it is.
    even = high == low
    offset = (low * scale).masked_fill_(even, 0)
    levels = torch.arange(256, dtype=torch.double, device=images.device)
    table = (levels * scale.masked_fill_(even, 1)).sub_(offset).clamp_(0, 255).floor_()
    _look_up(images, places(images), table.float(), values)


def equalize(images: Tensor, values: Tensor) -> None:
    """Makes each channel's histogram as flat as it can be, blended in by the value."""
    count, channels, height, width = images.shape
    rows = count * channels
    # Whole numbers divided and rounded down are exact while they fit the mantissa.
    dtype = torch.float if height * width < 2**22 else torch.double
    index = places(images)
    histogram = torch.bincount(index, minlength=rows * 256).view(rows, 256).to(dtype)
    highest = images.view(rows, -1).amax(1, keepdim=True).long()
    step = (height * width - histogram.gather(1, highest)).div_(255).floor_()
    before = histogram.cumsum(1).sub_(histogram)
    divisor = step.clamp(min=1)
    table = before.add_((divisor / 2).floor_()).div_(divisor).floor_().clamp_(max=255)
    levels = torch.arange(256, dtype=dtype, device=images.device)
    # Channels with too few pixels off their highest level stay as they are.
    table = torch.where(step > 0, table, levels).view(count, channels, 256)
    _look_up(images, index, table.float(), values)


def places(images: Tensor) -> Tensor:
    """Returns int32 [n C H W]: for each pixel its place in tables [n, C, 256] laid end to end."""
    rows = images.shape[0] * images.shape[1]
    # 32 bits are half the memory of what gather takes.
    first = torch.arange(0, rows * 256, 256, dtype=torch.int32, device=images.device)
    return images.view(rows, -1).int().add_(first.unsqueeze(1)).view(-1)


def _look_up(images: Tensor, index: Tensor, table: Tensor, share: Tensor) -> None:
    """Replaces every pixel by its entry in float tables [n, C, 256], blended in by the share [n]."""
    levels = torch.arange(256, dtype=torch.float, device=images.device)
    blended = table.sub_(levels).mul_(share.view(-1, 1, 1)).add_(levels).add_(0.5)
    torch.index_select(blended.to(torch.uint8).view(-1), 0, index, out=images.view(-1))
