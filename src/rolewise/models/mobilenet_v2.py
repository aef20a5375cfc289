"""MobileNetV2 for 32x32 images, at half width the student of the CIFAR-100 distillation tables.

Source: Sandler et al. (2018), https://arxiv.org/abs/1801.04381, table 2.
Differs from source: as in the distillation tables' networks, the second stage has stride 1, and every block has its
1x1 expansion, the first one too; ReLU in place of ReLU6.
"""

from __future__ import annotations

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS, initialise_convolutions

#: Expansion (0: the network's own), width, blocks and stride of each part.
_PARTS = ((1, 16, 1, 1), (0, 24, 2, 1), (0, 32, 3, 2), (0, 64, 4, 2), (0, 96, 3, 1), (0, 160, 3, 2), (0, 320, 1, 1))
#: The parts of each stage: those whose outputs the tables' feature methods read.
_STAGES = ((0, 1), (2,), (3, 4), (5, 6))


class InvertedResidual(nn.Module):
    """A wide 1x1, a 3x3 of each channel and a narrow 1x1 convolution, and a shortcut where the shape stays."""

    def __init__(self, before: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(before, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.has_shortcut = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H / stride, W / stride]."""
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """A MobileNetV2 whose first convolution halves the image, for three halvings in all at 32x32 and a last map of 2x2.

    Args:
        num_classes: K.
        channels: C of the images.
        width: factor of all widths but the last one's.
        expansion: factor of the blocks' inner widths.

    Raises:
        InputError: the width leaves a part without channels.
    """

    def __init__(self, num_classes: int, channels: int, width: float, expansion: int) -> None:
        super().__init__()
        if not 0.0625 <= width <= 8:
            raise InputError(f"width must be from 0.0625 to 8, got {width}")
        before = int(32 * width)
        self.stem = nn.Sequential(nn.Conv2d(channels, before, 3, 2, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU())
        parts = []
        for own, wide, depth, stride in _PARTS:
            blocks = []
            for position in range(depth):
                after = int(wide * width)
                blocks.append(InvertedResidual(before, after, 1 if position else stride, own or expansion))
                before = after
            parts.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*(nn.Sequential(*(parts[at] for at in stage)) for stage in _STAGES))
        last = max(1280, int(1280 * width))
        self.last = nn.Sequential(nn.Conv2d(before, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(last, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(_STAGES))}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.last(self.stages(self.stem(images)))))
        return logits


@MODELS.add("mobilenet_v2")
def mobilenet_v2(num_classes: int, channels: int = 3, width: float = 0.5, expansion: int = 6) -> MobileNetV2:
    """MobileNetV2 for 32x32 images, at half width by default as in the distillation tables."""
    return MobileNetV2(num_classes, channels, width, expansion)
