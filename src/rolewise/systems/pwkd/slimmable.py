"""A slimmable network: sub-networks of the same depth that share the first channels of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.errors import InputError


class SlimmableCNN(nn.Module):
    """Convolutions with ReLU, halved in size between them, then a linear layer, of which any part runs alone.

    A part of a width w has the first w of each convolution's channels. All parts share weights, and each has batch
    norms of its own, because the mean and variance of a channel depend on how many channels come into it.

    Source: Yu et al. (2019), Slimmable Neural Networks, section 3; the layers are those of the model ``small_cnn``.

    Args:
        num_classes: K.
        channels: C of the images.
        size: (H, W) of the images.
        widths: channels of each 3x3 convolution of the whole network.
        parts: widths of the parts as fractions of these, ascending, the last one 1.

    Raises:
        InputError: the fractions do not ascend to 1, or one leaves a layer without a channel.
    """

    def __init__(
        self, num_classes: int, channels: int, size: tuple[int, int], widths: Sequence[int], parts: Sequence[float]
    ) -> None:
        super().__init__()
        self.kept = kept_channels(widths, parts)
        if min(size) < 2 ** (len(widths) - 1):
            raise InputError(
                f"size must be at least {2 ** (len(widths) - 1)} for {len(widths)} convolutions, got {size}"
            )
        befores = [channels, *widths[:-1]]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, width, 3, padding=1, bias=False) for before, width in zip(befores, widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(count) for count in counts) for counts in self.kept)
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor, part: int = -1) -> Tensor:
        """Returns logits [B, K] of a part of the network.

        Args:
            images: [B, C, H, W].
            part: its place among the widths; the last is the whole.
        """
        maps = images
        for layer, counts in enumerate(self.kept):
            weight = self.convolutions[layer].weight[: counts[part], : maps.shape[1]]  # type: ignore[index]
            norms = self.norms[layer]
            maps = F.relu(norms[part](F.conv2d(maps, weight, padding=1)))  # type: ignore[index]
            if layer < len(self.kept) - 1:
                maps = F.max_pool2d(maps, 2)
        return F.linear(maps.mean(dim=(2, 3)), self.fc.weight[:, : maps.shape[1]], self.fc.bias)


class PartOf(nn.Module):
    """A part of a slimmable network as a network by itself; weights and norms stay shared.

    Args:
        network: the whole.
        part: place of its width.
    """

    def __init__(self, network: SlimmableCNN, part: int) -> None:
        super().__init__()
        self.network, self.part = network, part

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.network(images, self.part)
        return logits


def kept_channels(widths: Sequence[int], parts: Sequence[float]) -> list[list[int]]:
    """Returns the number of channels of each layer in each part.

    Args:
        widths: channels of each layer of the whole.
        parts: fractions, ascending, the last one 1.

    Raises:
        InputError: they do not ascend to 1, or one leaves a layer without a channel.
    """
    if not parts or list(parts) != sorted(set(parts)) or parts[-1] != 1:
        raise InputError(f"parts must be fractions that ascend to 1, got {list(parts)}")
    kept = [[round(part * width) for part in parts] for width in widths]
    for width, counts in zip(widths, kept, strict=True):
        for part, count in zip(parts, counts, strict=True):
            if part <= 0 or count < 1:
                raise InputError(
                    f"parts must leave each layer a channel, got {part} of {width} channels; use a wider one"
                )
    return kept
