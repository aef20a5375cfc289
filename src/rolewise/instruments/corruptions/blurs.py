"""Blurs: out of focus, through frosted glass, in motion, towards the middle.

Source: Hendrycks, Dietterich (2019), https://arxiv.org/abs/1903.12261, and their ``make_cifar_c.py``; what differs from
it stands at `rolewise.instruments.corruptions.corruption_table.corrupt`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.instruments.corruptions.kernels import blur, convolve, disk, draw, enlarged, scale_of, streak, zoomed


def gaussian_blur(pixels: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Blurs with a Gaussian that is cut off at four deviations.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        sigma: in pixels of a 32x32 image.
        generator: not used.
    """
    sigma = sigma * scale_of(pixels)
    return blur(pixels, sigma, int(4 * sigma + 0.5))


def defocus_blur(pixels: Tensor, strength: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Blurs with a disk whose edge is soft.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: the disk's radius and its edge's deviation, in pixels of a 32x32 image.
        generator: not used.
    """
    return convolve(pixels, enlarged(disk(*strength), scale_of(pixels)).to(pixels), "reflect")


def glass_blur(pixels: Tensor, strength: tuple[float, int, int, float], generator: torch.Generator) -> Tensor:
    """Blurs, swaps pixels with near ones in turn, from the last to the first, and blurs again.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: the blur's sigma and the farthest swap up or left, in pixels of a 32x32 image; how many rounds; and
            the share of pixels that are swapped in each.
        generator: of the swaps.
    """
    scale = scale_of(pixels)
    sigma, far, rounds, share = strength[0] * scale, round(strength[1] * scale), strength[2], strength[3]
    reach = int(4 * sigma + 0.5)
    soft = blur(pixels, sigma, reach)
    count, channels, height, width = pixels.shape
    order = torch.arange(height * width, device=pixels.device).expand(count, -1).clone()
    drawn = draw(pixels, (3, rounds, height, width, count, 1), generator)
    down, right = (drawn[:2] * 2 * far).long() - far
    step = torch.where(drawn[2] < share, down * width + right, 0)
    for turn in range(rounds):
        for row in range(height - far, far, -1):
            for column in range(width - far, far, -1):
                # The other one is within the image for every offset in [-far, far).
                place = row * width + column
                other = step[turn, row, column] + place
                here = order[:, place : place + 1].clone()
                order[:, place : place + 1] = order.gather(1, other)
                order.scatter_(1, other, here)
    shuffled = soft.flatten(2).gather(2, order.unsqueeze(1).expand(-1, channels, -1)).view_as(soft)
    return blur(shuffled, sigma, reach)


def motion_blur(pixels: Tensor, strength: tuple[int, float], generator: torch.Generator) -> Tensor:
    """Blurs each image along a direction of its own, within 45 degrees of the horizontal.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: the streak's radius and its deviation, in pixels of a 32x32 image.
        generator: of the directions.
    """
    angles = draw(pixels, (len(pixels),), generator) * 90 - 45
    scale = scale_of(pixels)
    return streak(pixels, round(strength[0] * scale), strength[1] * scale, angles)


def zoom_blur(pixels: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Averages the image with enlarged ones, by 1% more from one to the next.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        steps: the number of enlarged images.
        generator: not used.
    """
    total = 2 * pixels
    for step in range(1, steps + 1):
        total = total + zoomed(pixels, 1 + step / 100)
    return total / (steps + 2)
