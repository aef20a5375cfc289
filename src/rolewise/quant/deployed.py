"""A network as it leaves the laboratory: with its input's normalisation inside, it takes pixels in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.logits import logits_in


class Deployed(nn.Module):
    """A network that takes pixels in [0, 1] and normalises them itself.

    Args:
        network: the network that takes the normalised images.
        mean: for each channel.
        std: for each channel.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("pixel_mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W] in [0, 1]."""
        return logits_in(self.network((images - self.pixel_mean) / self.pixel_std))
