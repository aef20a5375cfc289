"""Brightness, contrast, colour, sharpness: a step from a plainer image, the degenerate, through the image and beyond.

result = degenerate + factor (image - degenerate), cut off at 0 and 255 and truncated, in float32: Pillow's arithmetic.
Every function works in place on images [n, C, H, W] uint8, contiguous, with values [n], factor - 1 for each image.
"""

from __future__ import annotations

import torch
from torch import Tensor


def brightness(images: Tensor, values: Tensor) -> None:
    """Scales towards black and away from it."""
    write_back(images, images.float().mul_(_factor(values)))


def contrast(images: Tensor, values: Tensor) -> None:
    """Scales about the mean luma, rounded to a grey level."""
    pixels = images.float()
    middle = luma(pixels).mean((1, 2, 3), dtype=torch.double).add_(0.5).floor_().float().view(-1, 1, 1, 1)
    write_back(images, pixels.sub_(middle).mul_(_factor(values)).add_(middle))


def color(images: Tensor, values: Tensor) -> None:
    """Scales about each pixel's luma; images of one channel have no colour and stay as they are."""
    if images.shape[1] > 1:
        pixels = images.float()
        plain = luma(pixels)
        write_back(images, pixels.sub_(plain).mul_(_factor(values)).add_(plain))


def sharpness(images: Tensor, values: Tensor) -> None:
    """Scales about the smoothed image; as with Pillow, only pixels with eight neighbours are smoothed."""
    height, width = images.shape[-2:]
    if height < 3 or width < 3:
        return
    flat = images.view(-1, height * width)
    levels = flat.short()
    # Sums of three neighbours, first along rows, then along columns, over rows laid end to end. That joins the end of a
    # row to the start of the next, but only in border pixels, which are not smoothed.
    three = (levels[:, :-2] + levels[:, 1:-1]).add_(levels[:, 2:])
    nine = (three[:, : -2 * width] + three[:, width:-width]).add_(three[:, 2 * width :])
    inner = slice(width + 1, -width - 1)
    pixels = levels.float()
    smooth = pixels.clone()
    # Pillow's SMOOTH: (sum of the nine + 4 times the middle) / 13, rounded. Half a level does not occur in thirteenths.
    smooth[:, inner] = nine.add_(levels[:, inner], alpha=4).float().add_(6.5).mul_(1 / 13).floor_()
    smooth, pixels = smooth.view_as(images), pixels.view_as(images)
    smooth[..., :: width - 1] = pixels[..., :: width - 1]
    write_back(images, pixels.sub_(smooth).mul_(_factor(values)).add_(smooth))


def luma(pixels: Tensor) -> Tensor:
    """Returns the luma [n, 1, H, W] of float images [n, C, H, W] of whole levels, as Pillow's ``convert("L")`` has it.

    Pillow computes in integers; all of them are below 2^24, so that float32 gives the same.
    """
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    total = (red * 19595).add_(green, alpha=38470).add_(blue, alpha=7471)
    return total.add_(0x8000).mul_(1 / 65536).floor_()


def write_back(images: Tensor, pixels: Tensor) -> None:
    """Writes float pixels into images, cut off at 0 and 255, fractions dropped. ``pixels`` is overwritten."""
    # By way of 16 bits, since the direct conversion is three times slower on a CPU.
    images.copy_(pixels.clamp_(0, 255).short())


def _factor(values: Tensor) -> Tensor:
    return (values + 1).view(-1, 1, 1, 1)
