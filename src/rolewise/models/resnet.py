"""Residual networks: the CIFAR family (ResNet-8 to 1202, x4), and ResNet-18/34/50 with the stem of CIFAR or ImageNet.

Source: He et al. (2016), https://arxiv.org/abs/1512.03385, section 4.2 and table 1.
Differs from source: in the CIFAR family, shortcuts that change shape are 1x1 convolutions with batch norm (option B),
as in the networks of the distillation literature's CIFAR-100 tables; ``shortcut="padding"`` gives the paper's own
(option A). ResNet-18/34/50 start with a 3x3 convolution of stride 1 and no pooling, or with ``stem="imagenet"`` as in
the paper's section 4.1; the stride of ResNet-50 is on its 3x3 convolutions, as in torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional, init

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS
from rolewise.models.pooling import MaxPool2d

Shortcut = Literal["convolution", "padding"]
#: ``cifar`` keeps the images' size; ``imagenet`` begins with a 7x7 convolution and pooling, each of stride 2.
Stem = Literal["cifar", "imagenet"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, before: int, width: int, stride: int, shortcut: Shortcut = "convolution") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(before, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, width, H / stride, W / stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, four times as wide at the end, and a shortcut."""

    expansion = 4

    def __init__(self, before: int, width: int, stride: int, shortcut: Shortcut = "convolution") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.shortcut = _shortcut(before, 4 * width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, 4 width, H / stride, W / stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class Padding(nn.Module):
    """A shortcut without parameters: every ``stride``-th place, and channels of zeros behind those that there are."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride, self.zeros = stride, after - before

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, after, H / stride, W / stride]."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.zeros))


def _shortcut(before: int, after: int, stride: int, kind: Shortcut) -> nn.Module:
    if stride == 1 and before == after:
        return nn.Identity()
    if kind == "padding":
        return Padding(before, after, stride)
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


class ResNet(nn.Module):
    """A residual network.

    Args:
        block: the kind of block.
        depths: blocks in each stage; every stage but the first halves the size.
        widths: channels of the stem, then of each stage before the block's expansion.
        num_classes: K.
        channels: C of the images.
        shortcut: the kind of a shortcut that changes shape: ``convolution`` (1x1, batch norm) or ``padding`` (zeros).
        stem: ``cifar``, or ``imagenet``, after which a side is a quarter.

    Raises:
        InputError: there is no such kind of shortcut or stem.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        channels: int,
        shortcut: Shortcut = "convolution",
        stem: Stem = "cifar",
    ) -> None:
        super().__init__()
        if stem not in ("cifar", "imagenet"):
            raise InputError(f'stem must be "cifar" or "imagenet", got {stem!r}')
        if shortcut not in ("convolution", "padding"):
            raise InputError(f'shortcut must be "convolution" or "padding", got {shortcut!r}')
        large = stem == "imagenet"
        first = nn.Conv2d(channels, widths[0], 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False)
        pooling = [MaxPool2d(3, 2, 1)] if large else []
        self.stem = nn.Sequential(first, nn.BatchNorm2d(widths[0]), nn.ReLU(), *pooling)
        before = widths[0]
        stages = []
        for index, (depth, width) in enumerate(zip(depths, widths[1:], strict=True)):
            blocks = []
            for position in range(depth):
                blocks.append(block(before, width, 2 if index and not position else 1, shortcut))
                before = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(depths))}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(self.stem(images))))
        return logits


def _register_cifar(name: str, depth: int, widths: Sequence[int]) -> None:
    @MODELS.add(name)
    def resnet(num_classes: int, channels: int = 3, shortcut: Shortcut = "convolution") -> ResNet:
        return ResNet(BasicBlock, [(depth - 2) // 6] * 3, widths, num_classes, channels, shortcut)

    resnet.__name__ = name
    resnet.__doc__ = f"ResNet-{depth} of the CIFAR family: a stem of {widths[0]}, stages of {widths[1:]} channels."


for _depth in (8, 14, 20, 32, 44, 56, 110, 1202):
    _register_cifar(f"resnet{_depth}", _depth, (16, 16, 32, 64))
for _depth in (8, 32):
    _register_cifar(f"resnet{_depth}x4", _depth, (32, 64, 128, 256))


@MODELS.add("resnet18")
def resnet18(num_classes: int, channels: int = 3, stem: Stem = "cifar") -> ResNet:
    """ResNet-18, with the stem of CIFAR or of ImageNet."""
    return ResNet(BasicBlock, [2, 2, 2, 2], [64, 64, 128, 256, 512], num_classes, channels, stem=stem)


@MODELS.add("resnet10")
def resnet10(num_classes: int, channels: int = 3) -> ResNet:
    """One block in each of ResNet-18's stages: role-wise augmentation's small student (there called ResNet8)."""
    return ResNet(BasicBlock, [1, 1, 1, 1], [64, 64, 128, 256, 512], num_classes, channels)


@MODELS.add("resnet34")
def resnet34(num_classes: int, channels: int = 3, stem: Stem = "cifar") -> ResNet:
    """ResNet-34, with the stem of CIFAR or of ImageNet."""
    return ResNet(BasicBlock, [3, 4, 6, 3], [64, 64, 128, 256, 512], num_classes, channels, stem=stem)


@MODELS.add("resnet50")
def resnet50(num_classes: int, channels: int = 3, stem: Stem = "cifar") -> ResNet:
    """ResNet-50, with the stem of CIFAR or of ImageNet."""
    return ResNet(Bottleneck, [3, 4, 6, 3], [64, 64, 128, 256, 512], num_classes, channels, stem=stem)
