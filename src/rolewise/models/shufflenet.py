"""ShuffleNet V1 and V2 for 32x32 images, students of the CIFAR-100 distillation tables.

Source: Zhang et al. (2018), https://arxiv.org/abs/1707.01083, table 1; Ma et al. (2018),
https://arxiv.org/abs/1807.11164, table 5.
Differs from source: as in the distillation tables' networks, a 1x1 convolution of stride 1 and no pooling as a stem;
widths of three groups in V1, whose inner width is a quarter of a block's own output; a block more in each stage of V2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS, initialise_convolutions

_STEM = 24
#: Widths of V2's stages and of its last convolution, by its size.
_SIZES = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (224, 488, 976, 2048),
}


def dealt_channels(x: Tensor, groups: int) -> Tensor:
    """Returns a feature whose channels are dealt out from groups in turn.

    Args:
        x: [B, C, H, W].
        groups: a divisor of C.
    """
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


class GroupedBottleneck(nn.Module):
    """V1's block: 1x1 in groups, shuffled, 3x3 of each channel, 1x1 in groups; with stride 2 beside an average."""

    def __init__(self, before: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        inner, self.groups = width // 4, 1 if before == _STEM else groups
        self.conv1 = nn.Conv2d(before, inner, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H, W], or with stride 2 [B, before + width, H / 2, W / 2]."""
        y = dealt_channels(functional.relu(self.bn1(self.conv1(x))), self.groups)
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        beside = functional.avg_pool2d(x, 3, 2, 1) if self.stride == 2 else x
        return functional.relu(torch.cat([y, beside], 1) if self.stride == 2 else y + beside)


class SplitBlock(nn.Module):
    """V2's block of stride 1: half of the channels pass, the others go through three convolutions; then shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H, W]."""
        passed, y = x.chunk(2, 1)
        y = functional.relu(self.bn1(self.conv1(y)))
        y = functional.relu(self.bn3(self.conv3(self.bn2(self.conv2(y)))))
        return dealt_channels(torch.cat([passed, y], 1), 2)


class DownBlock(nn.Module):
    """V2's block of stride 2: two ways of convolutions, each half of the output's channels; then shuffled."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(before, before, 3, 2, 1, groups=before, bias=False), nn.BatchNorm2d(before)
        self.conv2, self.bn2 = nn.Conv2d(before, half, 1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(before, half, 1, bias=False), nn.BatchNorm2d(half)
        self.conv4, self.bn4 = nn.Conv2d(half, half, 3, 2, 1, groups=half, bias=False), nn.BatchNorm2d(half)
        self.conv5, self.bn5 = nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H / 2, W / 2]."""
        first = functional.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        second = self.bn4(self.conv4(functional.relu(self.bn3(self.conv3(x)))))
        second = functional.relu(self.bn5(self.conv5(second)))
        return dealt_channels(torch.cat([first, second], 1), 2)


class ShuffleNet(nn.Module):
    """A stem, three stages, perhaps one more convolution, an average over places and a linear layer.

    Args:
        stages: the blocks of each stage.
        before: channels behind the stages.
        last: channels of a 1x1 convolution behind the stages; 0 for none.
        num_classes: K.
        channels: C of the images.
    """

    def __init__(
        self, stages: Sequence[Sequence[nn.Module]], before: int, last: int, num_classes: int, channels: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, _STEM, 1, bias=False), nn.BatchNorm2d(_STEM), nn.ReLU())
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        more = [nn.Conv2d(before, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU()] if last else []
        self.last = nn.Sequential(*more)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(last or before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(stages))}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.last(self.stages(self.stem(images)))))
        return logits


@MODELS.add("shufflenet_v1")
def shufflenet_v1(num_classes: int, channels: int = 3) -> ShuffleNet:
    """ShuffleNet V1 with three groups, for 32x32 images."""
    stages, before = [], _STEM
    for width, depth in zip((240, 480, 960), (4, 8, 4), strict=True):
        first = GroupedBottleneck(before, width - before, 2, 3)
        stages.append([first, *(GroupedBottleneck(width, width, 1, 3) for _ in range(depth - 1))])
        before = width
    return ShuffleNet(stages, before, 0, num_classes, channels)


@MODELS.add("shufflenet_v2")
def shufflenet_v2(num_classes: int, channels: int = 3, width: float = 1.0) -> ShuffleNet:
    """ShuffleNet V2 of width 0.5, 1, 1.5 or 2, for 32x32 images."""
    if width not in _SIZES:
        raise InputError(f"width must be one of {', '.join(f'{one:g}' for one in _SIZES)}, got {width!r}")
    *widths, last = _SIZES[width]
    stages: list[list[nn.Module]] = []
    before = _STEM
    for wide, depth in zip(widths, (3, 7, 3), strict=True):
        stages.append([DownBlock(before, wide), *(SplitBlock(wide) for _ in range(depth))])
        before = wide
    return ShuffleNet(stages, before, last, num_classes, channels)
