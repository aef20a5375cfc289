"""Random crops and mirror images of a batch, through which gradients go to the images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cropped_and_mirrored(images: Tensor, generator: torch.Generator, *, padding: int, mirrored: bool) -> Tensor:
    """Returns each image cropped at a place of its own, and half of them mirrored.

    Args:
        images: [B, C, H, W].
        generator: of places and mirrors, on the CPU.
        padding: pixels of 0 on every side before the crop; at most this far an image is moved.
        mirrored: whether each image is mirrored with probability 1/2.

    Returns:
        [B, C, H, W].
    """
    batch, _, height, width = images.shape
    places = torch.randint(2 * padding + 1, (2, batch), generator=generator)
    turned = torch.rand(batch, generator=generator) < 0.5
    rows = (places[0, :, None] + torch.arange(height)).to(images.device)
    columns = places[1, :, None] + torch.arange(width)
    if mirrored:
        columns = torch.where(turned[:, None], columns.flip(1), columns)
    columns = columns.to(images.device)
    padded = functional.pad(images, (padding,) * 4).permute(0, 2, 3, 1)
    image = torch.arange(batch, device=images.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
