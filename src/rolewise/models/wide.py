"""Wide residual networks.

Source: Zagoruyko and Komodakis (2016), https://arxiv.org/abs/1605.07146, section 2.
Differs from source: none; without dropout.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional, init

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS


class WideBlock(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions, and a shortcut."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False) if before != width else None

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H / stride, W / stride]."""
        ready = functional.relu(self.bn1(x))
        y = self.conv2(functional.relu(self.bn2(self.conv1(ready))))
        shortcut = x if self.shortcut is None else self.shortcut(ready)
        result: Tensor = y + shortcut
        return result


class WideResNet(nn.Module):
    """A wide residual network.

    Args:
        depth: 6 n + 4 layers.
        widen: factor of the widths 16, 32, 64.
        num_classes: K.
        channels: C of the images.

    Raises:
        InputError: there is no such depth or width.
    """

    def __init__(self, depth: int, widen: int, num_classes: int, channels: int) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise InputError(f"depth must be 6 n + 4 and at least 10, such as 16, 28 or 40, got {depth}")
        if widen < 1:
            raise InputError(f"widen must be at least 1, got {widen}")
        self.stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        before = 16
        stages = []
        for index, width in enumerate((16 * widen, 32 * widen, 64 * widen)):
            blocks = []
            for position in range((depth - 4) // 6):
                blocks.append(WideBlock(before, width, 2 if index and not position else 1))
                before = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(3)}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(self.stem(images))))
        return logits


def _register(depth: int, widen: int) -> None:
    @MODELS.add(f"wrn_{depth}_{widen}")
    def wide(num_classes: int, channels: int = 3) -> WideResNet:
        return WideResNet(depth, widen, num_classes, channels)

    wide.__name__ = f"wrn_{depth}_{widen}"
    wide.__doc__ = f"Wide ResNet of depth {depth} and width {widen}."


for _depth, _widen in ((16, 1), (16, 2), (40, 1), (40, 2), (16, 4), (16, 8), (28, 2), (28, 4), (28, 10), (40, 4)):
    _register(_depth, _widen)


@MODELS.add("wrn")
def wrn(num_classes: int, channels: int = 3, depth: int = 16, widen: int = 2) -> WideResNet:
    """Wide ResNet of any depth 6 n + 4 and any width."""
    return WideResNet(depth, widen, num_classes, channels)
