"""A light U-Net, whose logits may have a lower resolution than the images.

Source: Ronneberger, Fischer, Brox (2015), https://arxiv.org/abs/1505.04597.
Differs from source: padded convolutions with batch norm, bilinear upsampling to the skip's own size (so that images of
any size pass), any number and width of levels, and a first convolution of any stride.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS


def _block(before: int, width: int, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first, step in ((before, stride), (width, 1)):
        layers += [nn.Conv2d(first, width, 3, step, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Levels that halve the image, and as many that bring it back, each with the skip of its level.

    Args:
        widths: channels of the levels, from the finest to the coarsest; at least two.
        num_classes: K.
        channels: C of the images.
        size: (H, W) of the images, which must leave a pixel at the coarsest level.
        stride: of the first convolution: logits have 1 / stride of the images' resolution.

    Raises:
        InputError: a width or the stride is not positive, there are fewer than two levels, or the images are too small.
    """

    def __init__(
        self, widths: Sequence[int], num_classes: int, channels: int, size: tuple[int, int], stride: int = 1
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths must hold at least two numbers, all positive, got {list(widths)}")
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        least = stride * 2 ** (len(widths) - 1)
        if min(size) < least:
            raise InputError(f"size must be at least {least} for {len(widths)} levels, got {list(size)}")
        levels, before = [], channels
        for index, width in enumerate(widths):
            levels.append(_block(before, width, 2 if index else stride))
            before = width
        self.encoder = nn.ModuleList(levels)
        back = []
        for width in reversed(widths[:-1]):
            back.append(_block(before + width, width))
            before = width
        self.decoder = nn.ModuleList(back)
        self.head = nn.Conv2d(before, num_classes, 1)
        self.taps = {f"stage{index + 1}": f"encoder.{index}" for index in range(len(widths))}
        self.taps |= {f"decoder{index + 1}": f"decoder.{index}" for index in range(len(back))}
        self.taps |= {"penultimate": f"decoder.{len(back) - 1}", "logits": "head"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.head:
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K, H / stride, W / stride], rounded up, of images [B, C, H, W]."""
        skips, x = [], images
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        for level, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = functional.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = level(torch.cat([x, skip], 1))
        logits: Tensor = self.head(x)
        return logits


@MODELS.add("unet")
def unet(
    num_classes: int,
    channels: int = 3,
    size: tuple[int, int] = (128, 128),
    widths: Sequence[int] = (16, 32, 64),
    stride: int = 1,
) -> UNet:
    """A light U-Net for segmentation: logits for each pixel."""
    return UNet(widths, num_classes, channels, size, stride)
