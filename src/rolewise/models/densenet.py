"""DenseNet-BC for 32x32 images: bottlenecks, and transitions that halve the channels.

Source: Huang et al. (2017), https://arxiv.org/abs/1608.06993, sections 3 and 4.2.
Differs from source: none; without dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS, initialise_convolutions


class DenseLayer(nn.Module):
    """Norm, ReLU and 1x1, norm, ReLU and 3x3 convolution; what comes out stands behind what went in."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, before + growth, H, W]."""
        y = self.conv1(functional.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(functional.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """A DenseNet-BC of three dense blocks.

    Args:
        depth: 6 n + 4 layers.
        growth: channels that each layer adds.
        num_classes: K.
        channels: C of the images.

    Raises:
        InputError: there is no such depth, or the growth is not positive.
    """

    def __init__(self, depth: int, growth: int, num_classes: int, channels: int) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise InputError(f"depth must be 6 n + 4 and at least 10, such as 100 or 190, got {depth}")
        if growth < 1:
            raise InputError(f"growth must be at least 1, got {growth}")
        before = 2 * growth
        self.stem = nn.Conv2d(channels, before, 3, 1, 1, bias=False)
        stages = []
        for index in range(3):
            layers: list[nn.Module] = []
            if index:
                halved = before // 2
                norm, conv = nn.BatchNorm2d(before), nn.Conv2d(before, halved, 1, bias=False)
                layers += [nn.Sequential(norm, nn.ReLU(), conv, nn.AvgPool2d(2))]
                before = halved
            for _ in range((depth - 4) // 6):
                layers.append(DenseLayer(before, growth))
                before += growth
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(3)}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(self.stem(images))))
        return logits


@MODELS.add("densenet_bc")
def densenet_bc(num_classes: int, channels: int = 3, depth: int = 100, growth: int = 12) -> DenseNet:
    """DenseNet-BC of any depth 6 n + 4 and growth, for 32x32 images."""
    return DenseNet(depth, growth, num_classes, channels)
