"""Noise: each pixel of each channel on its own.

Source: Hendrycks, Dietterich (2019), https://arxiv.org/abs/1903.12261, and their ``make_cifar_c.py``; what differs from
it stands at `rolewise.instruments.corruptions.corruption_table.corrupt`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.instruments.corruptions.kernels import draw


def gaussian_noise(pixels: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Adds normal noise.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        deviation: of the noise, in the same unit.
        generator: of the noise.
    """
    return pixels + deviation * draw(pixels, tuple(pixels.shape), generator, "normal")


def shot_noise(pixels: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Counts photons, of which white gives so many on average.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        photons: positive.
        generator: of the counts.
    """
    rate = (pixels * photons).to(generator.device)
    return torch.poisson(rate, generator=generator).to(pixels.device) / photons


def impulse_noise(pixels: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Sets a share of the pixels to black or white, as likely as each other.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        amount: share in [0, 1].
        generator: of which and of what.
    """
    drawn = draw(pixels, tuple(pixels.shape), generator)
    return torch.where(drawn < amount, (drawn < amount / 2).to(pixels.dtype), pixels)


def speckle_noise(pixels: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Adds normal noise that grows with the pixel.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        deviation: of the noise on white.
        generator: of the noise.
    """
    return pixels + pixels * deviation * draw(pixels, tuple(pixels.shape), generator, "normal")
