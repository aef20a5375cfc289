"""VGG with batch norm and one linear layer, for 32x32 images: the networks of the CIFAR-100 distillation tables.

Source: Simonyan and Zisserman (2015), https://arxiv.org/abs/1409.1556, table 1, columns A, B, D and E.
Differs from source: batch norm behind each convolution; an average over places and one linear layer in place of three;
no pooling before the last block at 32x32. VGG-8 is that of the distillation tables, one convolution in each block.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rolewise.models.model_registry import MODELS, initialise_convolutions
from rolewise.models.pooling import MaxPool2d

_WIDTHS = (64, 128, 256, 512, 512)
#: Convolutions of each block.
_DEPTHS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
#: Images of at least this side are halved before the last block too.
_LARGE = 64


class VGG(nn.Module):
    """A VGG of five blocks; the first is the stem, the others its stages.

    Args:
        depths: convolutions of each block.
        num_classes: K.
        channels: C of the images.
        size: (H, W) in pixels.
    """

    def __init__(self, depths: Sequence[int], num_classes: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        blocks, before = [], channels
        for depth, width in zip(depths, _WIDTHS, strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                before = width
            blocks.append(layers)
        self.stem = nn.Sequential(*blocks[0])
        pools = [MaxPool2d(2), MaxPool2d(2), MaxPool2d(2)]
        last = MaxPool2d(2) if min(size) >= _LARGE else nn.Identity()
        self.stages = nn.Sequential(
            *(nn.Sequential(pool, *layers) for pool, layers in zip([*pools, last], blocks[1:], strict=True))
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(before, num_classes)
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(4)}
        self.taps |= {"stem": "stem", "penultimate": "pool", "logits": "fc"}
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W]."""
        logits: Tensor = self.fc(self.pool(self.stages(self.stem(images))))
        return logits


def _register(layers: int) -> None:
    @MODELS.add(f"vgg{layers}")
    def vgg(num_classes: int, channels: int = 3, size: tuple[int, int] = (32, 32)) -> VGG:
        return VGG(_DEPTHS[layers], num_classes, channels, size)

    vgg.__name__ = f"vgg{layers}"
    vgg.__doc__ = f"VGG-{layers} with batch norm and one linear layer, for 32x32 images."


for _layers in _DEPTHS:
    _register(_layers)
