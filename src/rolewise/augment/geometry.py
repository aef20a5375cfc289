"""Geometric operations: one affine map for each image, sampled as Pillow samples (nearest or bilinear)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rolewise.augment.ops import INDEX

GEOMETRIC = tuple(
    INDEX[name] for name in ("rotate", "translate_x", "translate_y", "shear_x", "shear_y", "flip", "crop")
)


def matrices(ops: Tensor, values: Tensor, draws: Tensor, height: int, width: int) -> Tensor:
    """Returns for each image the affine map from output to input coordinates.

    Args:
        ops: [n], numbers of geometric operations.
        values: [n], in each operation's unit.
        draws: [n, 2] in [0, 1), the place of a crop.
        height: H in pixels.
        width: W in pixels.

    Returns:
        [n, 6] float64 (a, b, c, d, e, f): x_in = a x + b y + c, y_in = d x + e y + f, in pixels from the upper left
        corner, pixel centres at halves.
    """
    value = values.double()
    result = torch.zeros(len(ops), 6, dtype=torch.double, device=ops.device)
    result[:, 0] = result[:, 4] = 1
    turn = ops == INDEX["rotate"]
    # Pillow turns counter-clockwise for positive angles and rounds the matrix to 15 digits.
    angle = torch.where(turn, -value * (math.pi / 180), 0.0)
    cosine, sine = _round(angle.cos()), _round(angle.sin())
    result[:, 0] = cosine
    result[:, 1] = torch.where(turn, sine, torch.where(ops == INDEX["shear_x"], value, 0.0))
    result[:, 3] = torch.where(turn, -sine, torch.where(ops == INDEX["shear_y"], value, 0.0))
    result[:, 4] = cosine
    mid_x, mid_y = width / 2, height / 2
    result[:, 2] = torch.where(turn, mid_x - cosine * mid_x - sine * mid_y, 0.0)
    result[:, 5] = torch.where(turn, mid_y + sine * mid_x - cosine * mid_y, 0.0)
    # A whole number of pixels stays one although it was stored as a float32 fraction of the side.
    result[:, 2] += torch.where(ops == INDEX["translate_x"], _snap(value * width), 0.0)
    result[:, 5] += torch.where(ops == INDEX["translate_y"], _snap(value * height), 0.0)
    mirrored = ops == INDEX["flip"]
    result[:, 0] = torch.where(mirrored, -1.0, result[:, 0])
    result[:, 2] = torch.where(mirrored, float(width), result[:, 2])
    cropped = ops == INDEX["crop"]
    for column, place, side in ((2, draws[:, 0], width), (5, draws[:, 1], height)):
        pad = (value * side + 0.5).floor()
        result[:, column] += torch.where(cropped, (place.double() * (2 * pad + 1)).floor() - pad, 0.0)
    return result


def _round(values: Tensor) -> Tensor:
    return torch.round(values, decimals=15)


def _snap(values: Tensor) -> Tensor:
    nearest = values.round()
    return torch.where((values - nearest).abs() < 1e-5, nearest, values)


def warp(images: Tensor, maps: Tensor, interpolation: str, fill: int) -> Tensor:
    """Moves the pixels of [n, C, H, W] uint8 by ``maps`` [n, 6]; what comes from outside is ``fill``."""
    return _bilinear(images, maps, fill) if interpolation == "bilinear" else _nearest(images, maps, fill)


def _nearest(images: Tensor, maps: Tensor, fill: int) -> Tensor:
    count, channels, height, width = images.shape
    shift = maps.clone()
    shift[:, 2] += 0.5 * (maps[:, 0] + maps[:, 1])
    shift[:, 5] += 0.5 * (maps[:, 3] + maps[:, 4])
    fixed = (shift * 65536 + 0.5).floor().to(torch.int32)
    across = torch.arange(width, dtype=torch.int32, device=images.device)
    down = torch.arange(height, dtype=torch.int32, device=images.device).view(-1, 1)
    a, b, c, d, e, f = (fixed[:, index].view(-1, 1, 1) for index in range(6))
    # [n, H, 1] + [n, 1, W]: two small products instead of two full ones.
    x = ((b * down + c) + a * across) >> 16
    y = ((e * down + f) + d * across) >> 16
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = torch.where(inside, y * width + x, 0).view(count, 1, -1).long()
    moved = images.reshape(count, channels, -1).gather(2, index.expand(count, channels, -1))
    if fill:
        return torch.where(inside.view(count, 1, -1), moved, fill).view_as(images).to(torch.uint8)
    return (moved * inside.view(count, 1, -1)).view_as(images)


def _bilinear(images: Tensor, maps: Tensor, fill: int) -> Tensor:
    count, channels, height, width = images.shape
    across = torch.arange(width, dtype=torch.double, device=images.device) + 0.5
    down = torch.arange(height, dtype=torch.double, device=images.device).view(-1, 1) + 0.5
    a, b, c, d, e, f = (maps[:, index].view(-1, 1, 1) for index in range(6))
    x = (b * down + c) + a * across
    y = (e * down + f) + d * across
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x - 0.5, y - 0.5
    left, top = x.floor(), y.floor()
    right_share, lower_share = (x - left).float().view(count, 1, -1), (y - top).float().view(count, 1, -1)
    columns = [left.clamp(0, width - 1).int(), (left + 1).clamp(0, width - 1).int()]
    rows = [top.clamp(0, height - 1).int(), (top + 1).clamp(0, height - 1).int()]
    flat = images.reshape(count, channels, -1)

    def corner(row: int, column: int) -> Tensor:
        index = (rows[row] * width + columns[column]).view(count, 1, -1).long()
        return flat.gather(2, index.expand(count, channels, -1)).float()

    upper = torch.lerp(corner(0, 0), corner(0, 1), right_share)
    lower = torch.lerp(corner(1, 0), corner(1, 1), right_share)
    # The small term keeps sums such as 0.3 * 10 + 0.7 * 10 from falling below the level that they stand for.
    mixed = (torch.lerp(upper, lower, lower_share) + 1e-4).clamp_(0, 255).to(torch.uint8)
    return torch.where(inside.view(count, 1, -1), mixed, fill).view_as(images).to(torch.uint8)
