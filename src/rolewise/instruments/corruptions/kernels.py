"""Convolutions and resampling that several corruptions share, over a batch of float images [B, C, H, W]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def scale_of(images: Tensor) -> float:
    """Returns by what lengths given for 32x32 images are multiplied: the shorter side over 32, at least 1.

    On images smaller than 32x32 lengths stay as they are: blurs narrower than a pixel would not be blurs.
    """
    return max(1.0, min(images.shape[-2:]) / 32)


def gaussian_weights(sigma: float, reach: int) -> Tensor:
    """Returns the weights [2 reach + 1] of a Gaussian at whole pixels, of sum 1."""
    if sigma <= 0:
        return torch.eye(2 * reach + 1, dtype=torch.double)[reach]
    at = torch.arange(-reach, reach + 1, dtype=torch.double)
    weights = torch.exp(-(at**2) / (2 * sigma**2))
    return weights / weights.sum()


def blur(images: Tensor, sigma: float, reach: int) -> Tensor:
    """Blurs with a Gaussian; pixels of the border go on beyond it.

    Args:
        images: [B, C, H, W].
        sigma: in pixels.
        reach: of the kernel to each side, in pixels.
    """
    weights = gaussian_weights(sigma, reach).to(images)
    return convolve(convolve(images, weights.view(1, -1), "replicate"), weights.view(-1, 1), "replicate")


def convolve(images: Tensor, kernel: Tensor, border: str) -> Tensor:
    """Convolves every channel with one symmetric kernel [h, w] of odd size.

    Args:
        images: [B, C, H, W].
        kernel: same type and device.
        border: ``replicate``, ``reflect`` (without the border pixel itself) or ``none``, which returns fewer pixels.
    """
    height, width = kernel.shape
    pads = (width // 2, width // 2, height // 2, height // 2)
    padded = images if border == "none" else functional.pad(images, pads, mode=border)
    channels = images.shape[1]
    return functional.conv2d(padded, kernel.expand(channels, 1, height, width), groups=channels)


def disk(radius: float, sigma: float) -> Tensor:
    """Returns a disk of sum 1 whose edge is softened by a Gaussian of three by three pixels.

    Args:
        radius: in pixels; a pixel belongs to the disk where its middle does.
        sigma: of the Gaussian, in pixels.
    """
    side = int(radius) + 1
    at = torch.arange(-side, side + 1, dtype=torch.double)
    inside = (at.view(-1, 1) ** 2 + at.view(1, -1) ** 2 <= radius**2).double()
    weights = gaussian_weights(sigma, 1)
    plane = (inside / inside.sum()).view(1, 1, *inside.shape)
    return functional.conv2d(plane, torch.outer(weights, weights).view(1, 1, 3, 3), padding=1)[0, 0]


def enlarged(kernel: Tensor, factor: float) -> Tensor:
    """Returns a kernel [n, n] for images that are larger by a factor: its weights spread over the same area.

    Args:
        kernel: of odd size n.
        factor: at least 1.
    """
    reach = math.ceil(len(kernel) * factor / 2 - 0.5)
    after = torch.arange(-reach, reach + 1, dtype=kernel.dtype).view(-1, 1) / factor
    before = torch.arange(len(kernel), dtype=kernel.dtype).view(1, -1) - len(kernel) // 2
    half = 0.5 / factor
    shared = (torch.minimum(after + half, before + 0.5) - torch.maximum(after - half, before - 0.5)).clamp(min=0)
    larger = shared @ kernel @ shared.T
    return larger / larger.sum()


def streak(images: Tensor, radius: int, sigma: float, angles: Tensor) -> Tensor:
    """Blurs each image along its own direction: half a Gaussian, whose places are rounded to whole pixels.

    Args:
        images: [B, C, H, W].
        radius: in pixels; the streak is 2 radius + 1 long.
        sigma: in pixels.
        angles: [B], in degrees from the horizontal, clockwise.
    """
    length = 2 * radius + 1
    weights = gaussian_weights(sigma, length - 1)[length - 1 :]
    weights = weights / weights.sum()
    radians = angles.to(images.device).double() * math.pi / 180
    height, width = images.shape[-2:]
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    batch = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    total = torch.zeros_like(images)
    for step, weight in enumerate(weights.tolist()):
        if weight < 1e-9:
            break
        right = torch.ceil(step * radians.cos() - 0.5).long().view(-1, 1)
        down = torch.ceil(step * radians.sin() - 0.5).long().view(-1, 1)
        row, column = (rows + down).clamp(0, height - 1), (columns + right).clamp(0, width - 1)
        moved = images.permute(0, 2, 3, 1)[batch, row.unsqueeze(2), column.unsqueeze(1)]
        total += weight * moved.permute(0, 3, 1, 2)
    return total


def zoomed(images: Tensor, factor: float) -> Tensor:
    """Returns the images enlarged about their middle, bilinearly."""
    matrix = images.new_tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]]).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def draw(images: Tensor, shape: tuple[int, ...], generator: torch.Generator, kind: str = "uniform") -> Tensor:
    """Returns numbers uniform in [0, 1) or standard normal, drawn where the generator lives, for these images."""
    how = torch.rand if kind == "uniform" else torch.randn
    drawn: Tensor = how(shape, generator=generator, device=generator.device, dtype=images.dtype)
    return drawn.to(images.device)
