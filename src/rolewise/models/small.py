"""Small networks for small images: two or three convolutions, for 8x8 and 28x28."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS
from rolewise.models.pooling import MaxPool2d

Places = Literal["average", "keep"]


class SmallCNN(nn.Module):
    """Convolutions with batch norm and ReLU, halved in size between them, then a linear layer.

    Args:
        widths: channels of each 3x3 convolution.
        num_classes: K.
        channels: C of the images.
        size: (H, W) of the images; read only where ``places`` is ``keep``.
        places: ``average`` over all places before the linear layer, which serves images of any size; or ``keep`` them,
            after one more halving: the linear layer then sees where a feature was, and has as many times the weights.

    Raises:
        InputError: a width is not positive, the images are too small, or ``places`` is unknown.
    """

    def __init__(
        self, widths: Sequence[int], num_classes: int, channels: int, size: tuple[int, int], places: Places = "average"
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise InputError(f"widths must hold at least one number, all positive, got {list(widths)}")
        if places not in ("average", "keep"):
            raise InputError(f'places must be "average" or "keep", got {places!r}')
        halvings = len(widths) - (places == "average")
        if min(size) < 2**halvings:
            raise InputError(f"size must be at least {2**halvings} for {len(widths)} convolutions, got {list(size)}")
        stages = []
        before = channels
        for index, width in enumerate(widths):
            layers = [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            stages.append(nn.Sequential(*layers, *[MaxPool2d(2)] * (index < halvings)))
            before = width
        self.stages = nn.Sequential(*stages)
        if places == "average":
            self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        else:
            self.pool = nn.Sequential(nn.Flatten())
            before *= (size[0] >> halvings) * (size[1] >> halvings)
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(widths))}
        self.taps |= {"penultimate": "pool", "logits": "fc"}

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(images)))
        return logits


@MODELS.add("small_cnn")
def small_cnn(
    num_classes: int,
    channels: int = 1,
    size: tuple[int, int] = (8, 8),
    widths: Sequence[int] = (16, 32),
    places: Places = "average",
) -> SmallCNN:
    """Two convolutions for 8x8 images."""
    return SmallCNN(widths, num_classes, channels, size, places)


@MODELS.add("cnn28")
def cnn28(
    num_classes: int,
    channels: int = 1,
    size: tuple[int, int] = (28, 28),
    widths: Sequence[int] = (16, 32, 64),
    places: Places = "average",
) -> SmallCNN:
    """Three convolutions for 28x28 images."""
    return SmallCNN(widths, num_classes, channels, size, places)
