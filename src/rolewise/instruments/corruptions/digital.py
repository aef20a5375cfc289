"""Corruptions by devices and files: contrast, saturation, warping, coarse pixels, JPEG.

Source: Hendrycks, Dietterich (2019), https://arxiv.org/abs/1903.12261, and their ``make_cifar_c.py``; what differs from
it stands at `rolewise.instruments.corruptions.corruption_table.corrupt`.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from rolewise.instruments.corruptions.kernels import convolve, draw, gaussian_weights


def less_contrast(pixels: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    """Moves each channel towards its mean over the image.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        factor: of the distance to the mean, below 1.
        generator: not used.
    """
    mean = pixels.mean((2, 3), keepdim=True)
    return (pixels - mean) * factor + mean


def saturate(pixels: Tensor, strength: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Scales the saturation of hue, saturation and value, and adds to it; grey has the hue of red.

    Args:
        pixels: [B, 3, H, W] in [0, 1].
        strength: factor and what is added, in [0, 1].
        generator: not used.
    """
    value, least = pixels.amax(1, keepdim=True), pixels.amin(1, keepdim=True)
    spread = value - least
    saturation = spread / value.masked_fill(value == 0, 1)
    wanted = (saturation * strength[0] + strength[1]).clamp(0, 1)
    # How far each channel is below the value, over the farthest: 0 for red and 1 for the others where all are equal.
    grey = pixels.new_tensor([0.0, 1.0, 1.0]).view(1, 3, 1, 1)
    below = torch.where(spread == 0, grey, (value - pixels) / spread.masked_fill(spread == 0, 1))
    return value * (1 - wanted * below)


def elastic(pixels: Tensor, strength: tuple[float, float, float], generator: torch.Generator) -> Tensor:
    """Moves three points of each image and everything with them, and adds a smooth field of random moves.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: the field's height, its smoothness, and how far the points move at most, in shares of the shorter
            side.
        generator: of the moves.
    """
    count, _, height, width = pixels.shape
    side = min(height, width)
    lift, smooth, jitter = (share * side for share in strength)
    middle, arm = torch.tensor([width // 2, height // 2]), side // 3
    anchors = (middle + arm * torch.tensor([[1, 1], [1, -1], [-1, -1]])).to(pixels)
    moved = anchors + jitter * (2 * draw(pixels, (count, 3, 2), generator) - 1)
    one = torch.ones(count, 3, 1).to(pixels)
    # From where in the image each place of the result comes: the points' moves, turned round.
    inverse = torch.linalg.solve(torch.cat([moved, one], 2), anchors.expand(count, 3, 2))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], 2).to(pixels)
    source = torch.einsum("hwk,bkd->bhwd", places, inverse)
    reach = int(3 * smooth + 0.5)
    field = 2 * draw(pixels, (count, 2, height + 2 * reach, width + 2 * reach), generator) - 1
    weights = gaussian_weights(smooth, reach).to(pixels)
    field = convolve(convolve(field, weights.view(1, -1), "none"), weights.view(-1, 1), "none")
    source = source + lift * field.permute(0, 2, 3, 1)
    # Middles of pixels are whole numbers here, and odd multiples of half a pixel from the border there.
    grid = (2 * source + 1) / source.new_tensor([width, height]) - 1
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def pixelate(pixels: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    """Shrinks the image and enlarges it again, each time by averages over boxes, rounded to levels.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        kept: the smaller image's side over the image's.
        generator: not used.
    """
    height, width = pixels.shape[-2:]
    small = max(1, int(height * kept)), max(1, int(width * kept))
    levels = (pixels * 255).round()
    for rows, columns in (small, (height, width)):
        # Columns first, and levels between, halves upwards, as Pillow does it.
        levels = (levels @ _boxes(levels.shape[3], columns).to(levels).T + 0.5).floor()
        levels = (_boxes(levels.shape[2], rows).to(levels) @ levels + 0.5).floor()
    return levels / 255


def _boxes(before: int, after: int) -> Tensor:
    """Returns the weights [after, before] of Pillow's box filter, each row of sum 1."""
    ratio = before / after
    support = max(ratio, 1.0)
    middles = (torch.arange(after, dtype=torch.double) + 0.5) * ratio
    distance = (torch.arange(before, dtype=torch.double) + 0.5).view(1, -1) - middles.view(-1, 1)
    inside = ((distance / support > -0.5) & (distance / support <= 0.5)).double()
    return inside / inside.sum(1, keepdim=True)


def jpeg(pixels: Tensor, quality: int, generator: torch.Generator) -> Tensor:
    """Writes each image as JPEG and reads it back, with Pillow, one after another.

    Args:
        pixels: [B, C, H, W] in [0, 1], C 1 or 3.
        quality: Pillow's, 1 to 95.
        generator: not used.
    """
    levels = (pixels * 255).round().to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy()
    read = []
    for image in levels:
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(buffer, "JPEG", quality=quality)
        read.append(np.asarray(Image.open(buffer)).reshape(image.shape))
    return torch.from_numpy(np.stack(read)).to(pixels.device).permute(0, 3, 1, 2).to(pixels.dtype) / 255
