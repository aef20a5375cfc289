"""Geometric operations: one affine map for each image, sampled as Pillow samples (nearest or bilinear)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Matrices = NDArray[np.float64]

#: Maps are kept to this many pixels: a picture moved that far is gone, and whole numbers do not overflow.
FAR = 2.0**20


def affine_map(op: str, values: Matrices, draws: Matrices, height: int, width: int) -> Matrices:
    """Returns for each image the affine map from output to input coordinates.

    Args:
        op: the name of a geometric operation.
        values: [n], in the operation's unit.
        draws: [n, 2] in [0, 1), the place of a crop or of a scaled image, and of a resized crop its area and ratio.
        height: H in pixels.
        width: W in pixels.

    Returns:
        [n, 6] (a, b, c, d, e, f): x_in = a x + b y + c, y_in = d x + e y + f, in pixels from the upper left corner,
        pixel centres at halves.
    """
    result = np.zeros((len(values), 6))
    result[:, 0] = result[:, 4] = 1
    if op == "rotate":
        # Pillow turns counter-clockwise for positive angles and rounds the matrix to 15 digits.
        angle = np.radians(-values)
        cosine, sine = (np.rint(part * 1e15) / 1e15 for part in (np.cos(angle), np.sin(angle)))
        x, y = width / 2, height / 2
        result[:, 0] = result[:, 4] = cosine
        result[:, 1], result[:, 3] = sine, -sine
        result[:, 2], result[:, 5] = x - cosine * x - sine * y, y + sine * x - cosine * y
    elif op == "shear_x":
        result[:, 1] = values
    elif op == "shear_y":
        result[:, 3] = values
    elif op == "translate_x":
        result[:, 2] = _snap(values * width)
    elif op == "translate_y":
        result[:, 5] = _snap(values * height)
    elif op == "flip":
        result[:, 0], result[:, 2] = -1, width
    elif op == "resized_crop":
        result[:, 0], result[:, 4], result[:, 2], result[:, 5] = _part(values, draws, height, width)
    elif op == "scale":
        # What the output shows is so many times as wide and high as the image; more than 1 leaves a margin to fill.
        result[:, 0] = result[:, 4] = shown = np.exp2(-values)
        result[:, 2], result[:, 5] = draws[:, 0] * (1 - shown) * width, draws[:, 1] * (1 - shown) * height
    else:
        assert op == "crop", op
        for column, side in ((2, width), (5, height)):
            pad = np.floor(values * side + 0.5)
            result[:, column] = np.floor(draws[:, column // 3] * (2 * pad + 1)) - pad
    return result


def _part(values: Matrices, draws: Matrices, height: int, width: int) -> list[Matrices]:
    """Returns the part of each image that becomes the whole: relative width and height, left and upper edge in pixels.

    Of its area up to ``values`` are left out, and its sides' ratio lies between 3/4 and 4/3, or nearer to 1 where less
    is left out. The four numbers that it takes are the upper and the lower twelve bits of the two draws.

    Source: Szegedy et al. (2015), section 6, https://arxiv.org/abs/1409.4842; area and ratio as of torchvision's
    RandomResizedCrop.
    Differs from source: a part that overhangs is narrowed, and not drawn again.
    """
    upper, lower = np.divmod(draws * 4096, 1.0)
    (across, down), (area, ratio) = (part.T for part in (upper / 4095, lower))
    kept = 1 - np.clip(values, 0, 1 - 1e-6) * area
    bend = np.exp((2 * ratio - 1) * np.log(4 / 3) * np.minimum(1, values / 0.92))
    wide, high = np.minimum(1, np.sqrt(kept * bend)), np.minimum(1, np.sqrt(kept / bend))
    return [wide, high, across * (1 - wide) * width, down * (1 - high) * height]


def _snap(pixels: Matrices) -> Matrices:
    """Makes a whole number of pixels whole again, which was stored as a float32 fraction of the side."""
    nearest = np.round(pixels)
    return np.where(np.abs(pixels - nearest) < 1e-5, nearest, pixels)


def warp(images: Tensor, maps: Matrices, interpolation: str, fill: Tensor) -> None:
    """Moves the pixels of images, in place.

    Args:
        images: [n, C, H, W] uint8, contiguous.
        maps: [n, 6] of `affine_map`.
        interpolation: ``nearest`` or ``bilinear``.
        fill: [C, 1, 1] uint8, on the images' device, what comes from outside.
    """
    (_bilinear if interpolation == "bilinear" else _nearest)(images, np.clip(maps, -FAR, FAR), fill)


def _sources(maps: Matrices, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the column and the row [n, H, W] that each pixel comes from, perhaps outside the image.

    In fixed point with 16 digits, as Pillow counts; in 64 bits where 32 might overflow.
    """
    moved = _to_corners(maps)
    reach = np.abs(moved).max(0, initial=0) * (width, height, 1, width, height, 1)
    small = max(reach[:3].sum(), reach[3:].sum()) < 2**15 - 1
    fixed = fixed_point(maps).astype(np.int32 if small else np.int64)
    a, b, c, d, e, f = torch.from_numpy(np.ascontiguousarray(fixed.T)).to(device).view(6, -1, 1, 1)
    across = torch.arange(width, dtype=a.dtype, device=device)
    down = torch.arange(height, dtype=a.dtype, device=device).view(-1, 1)
    # [n, H, 1] + [n, 1, W]: two small products instead of two full ones.
    x = (b * down + c).add(a * across).bitwise_right_shift_(16)
    y = (e * down + f).add(d * across).bitwise_right_shift_(16)
    return x, y


def _to_corners(maps: Matrices) -> Matrices:
    """Returns maps [n, 6] whose coordinates count pixels and not their middles."""
    moved = maps.copy()
    moved[:, 2] += 0.5 * (maps[:, 0] + maps[:, 1])
    moved[:, 5] += 0.5 * (maps[:, 3] + maps[:, 4])
    return moved


def fixed_point(maps: Matrices) -> Matrices:
    """Returns maps [n, 6] in fixed point with 16 binary digits, from a pixel's numbers to those of its source."""
    return np.floor(_to_corners(maps) * 65536 + 0.5)


def _nearest(images: Tensor, maps: Matrices, fill: Tensor) -> None:
    count, channels, height, width = images.shape
    # A frame of one pixel stands for all that is outside: no mask is needed.
    framed = fill.expand(count, channels, height + 2, width + 2).contiguous()
    framed[:, :, 1:-1, 1:-1] = images
    x, y = _sources(maps, height, width, images.device)
    plane = (height + 2) * (width + 2)
    dtype = torch.int32 if framed.numel() < 2**31 else torch.int64
    corner = torch.arange(width + 3, count * channels * plane, plane, dtype=dtype, device=images.device)
    place = y.clamp_(-1, height).mul_(width + 2).add_(x.clamp_(-1, width)).to(dtype)
    index = place.view(count, 1, -1) + corner.view(count, channels, 1)
    torch.index_select(framed.view(-1), 0, index.view(-1), out=images.view(-1))


def _bilinear(images: Tensor, maps: Matrices, fill: Tensor) -> None:
    count, _, height, width = images.shape
    x, y = _sources(maps, height, width, images.device)
    # All bits set where a coordinate is outside; comparisons would take longer than these.
    outside = x.neg().add_(width - 1).bitwise_or_(x).bitwise_or_(y).bitwise_or_(y.neg().add_(height - 1))
    outside = outside.bitwise_right_shift_(31).to(torch.uint8).view(count, 1, height, width)
    # Coordinates as grid_sample wants them: the image from -1 to 1. Products in double, one sum in float.
    across, down = np.arange(width) + 0.5, np.arange(height) + 0.5
    grid = torch.empty(count, height, width, 2, device=images.device)
    for axis, side in ((0, width), (1, height)):
        along, other, shift = (maps[:, 3 * axis + column, None] * (2 / side) for column in range(3))
        by_row, by_column = other * down + (shift - 1), along * across
        terms = torch.from_numpy(np.concatenate([by_row, by_column], 1)).float().to(images.device)
        torch.add(terms[:, :height, None], terms[:, None, height:], out=grid[..., axis])
    mixed = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    # Pillow truncates. The small term keeps a level from falling to the next lower one by float's rounding.
    images.copy_(mixed.add_(1e-3 + 2e-5 * max(height, width)).short())
    images.bitwise_and_(~outside).bitwise_or_(outside & fill)
