"""Small networks for small images: two or three convolutions, for 8x8 and 28x28."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models.registry import MODELS


class SmallCNN(nn.Module):
    """Convolutions with batch norm and ReLU, halved in size between them, averaged over places, then a linear layer.

    Args:
        widths: channels of each 3x3 convolution.
        num_classes: K.
        channels: C of the images.
        pools: after how many of the convolutions the size is halved.
    """

    def __init__(self, widths: Sequence[int], num_classes: int, channels: int, pools: int) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise InputError(f"widths must hold at least one positive number, got {list(widths)}")
        stages = []
        before = channels
        for index, width in enumerate(widths):
            layers: list[nn.Module] = [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if index < pools:
                layers.append(nn.MaxPool2d(2))
            stages.append(nn.Sequential(*layers))
            before = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(widths))}
        self.taps |= {"penultimate": "pool", "logits": "fc"}

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(images)))
        return logits


@MODELS.add("small_cnn")
def small_cnn(num_classes: int, channels: int = 1, widths: Sequence[int] = (16, 32)) -> SmallCNN:
    """Two convolutions for 8x8 images; the size is halved once."""
    return SmallCNN(widths, num_classes, channels, pools=1)


@MODELS.add("cnn28")
def cnn28(num_classes: int, channels: int = 1, widths: Sequence[int] = (16, 32, 64)) -> SmallCNN:
    """Three convolutions for 28x28 images; the size is halved after each but the last."""
    return SmallCNN(widths, num_classes, channels, pools=len(widths) - 1)
