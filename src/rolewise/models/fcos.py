"""A small dense detector without anchors: two levels, distributions of distances, and scores of each class.

Source: Tian et al. (2019), FCOS, https://arxiv.org/abs/1904.01355, with the distributions over distances of Li et al.
(2020), https://arxiv.org/abs/2006.04388.
Differs from source: levels of strides 8 and 16 alone, an encoder of plain convolutions of any width, heads of any
depth, and no branch of centre-ness, since the classes' scores are trained to be the quality of their box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from rolewise.batch import at_least_float32
from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS

#: Strides of the levels.
STRIDES = (8, 16)
#: The probability that every class has everywhere at the beginning, so that the background does not swamp the loss.
_PRIOR = 0.01


def _convolution(before: int, width: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def _tower(width: int, depth: int) -> nn.Sequential:
    """Returns a head's convolutions. Both levels go through them, and batch norm would mix their statistics."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.GroupNorm(math.gcd(8, width), width), nn.ReLU()]
    return nn.Sequential(*layers)


class FCOS(nn.Module):
    """An encoder of four stages, two levels that share their heads, and a box with its scores at every location.

    Args:
        widths: channels of the stages of strides 2, 4, 8 and 16.
        num_classes: K.
        channels: C of the images.
        neck: channels of the levels and heads; None for those of the third stage.
        depth: convolutions of each head.
        bins: R, distances 0 to R - 1 in strides; at most R - 1 strides lie between a location and a side.

    Raises:
        InputError: a width is not positive, there are not four, or there are fewer than two bins.
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        channels: int,
        neck: int | None = None,
        depth: int = 2,
        bins: int = 17,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or min(widths) < 1:
            raise InputError(f"widths must hold four numbers, all positive, got {list(widths)}")
        width = widths[2] if neck is None else neck
        for name, value, least in (("neck", width, 1), ("depth", depth, 0), ("bins", bins, 2)):
            if value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
        stages, before = [], channels
        for size in widths:
            stages.append(nn.Sequential(*_convolution(before, size, 2), *_convolution(size, size)))
            before = size
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(size, width, 1) for size in widths[2:])
        self.levels = nn.ModuleList(nn.Sequential(*_convolution(width, width)) for _ in STRIDES)
        self.class_tower, self.box_tower = _tower(width, depth), _tower(width, depth)
        self.classifier = nn.Conv2d(width, num_classes, 3, 1, 1)
        self.regressor = nn.Conv2d(width, 4 * bins, 3, 1, 1)
        self.bins = bins
        self.taps = {f"stage{index + 1}": f"stages.{index}" for index in range(len(widths))}
        self.taps |= {f"level{index + 1}": f"levels.{index}" for index in range(len(STRIDES))}
        self.taps |= {"penultimate": f"levels.{len(STRIDES) - 1}"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    init.zeros_(module.bias)
        for last in (self.classifier, self.regressor):
            init.normal_(last.weight, std=0.01)
        init.constant_(self.classifier.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns a dense detector's outputs (see `rolewise.tasks.detection.Detection`) of images [B, C, H, W]."""
        features, x = [], images
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        coarse = self.laterals[1](features[3])
        fine = self.laterals[0](features[2])
        fine = fine + functional.interpolate(coarse, fine.shape[-2:], mode="nearest")
        maps = [self.levels[0](fine), self.levels[1](coarse)]
        logits = [_by_location(self.classifier(self.class_tower(level))) for level in maps]
        spread = [_by_location(self.regressor(self.box_tower(level))) for level in maps]
        grids = [
            _grid(level.shape[-2], level.shape[-1], stride, images.device)
            for level, stride in zip(maps, STRIDES, strict=True)
        ]
        locations = torch.cat(grids)
        strides = torch.cat([grid.new_full((len(grid),), stride) for grid, stride in zip(grids, STRIDES, strict=True)])
        distribution = torch.cat(spread, 1).reshape(images.shape[0], -1, 4, self.bins)
        # At least in single precision: half has steps of a quarter pixel at 512.
        shares = at_least_float32(distribution).softmax(-1)
        distances = shares @ torch.arange(self.bins, device=images.device).to(shares)
        distances = distances * strides[:, None]
        boxes = torch.cat([locations - distances[..., :2], locations + distances[..., 2:]], -1)
        return {
            "logits": torch.cat(logits, 1),
            "boxes": boxes,
            "distribution": distribution,
            "locations": locations,
            "strides": strides,
        }


def _by_location(maps: Tensor) -> Tensor:
    """Returns maps [B, D, h, w] as [B, h w, D], row by row."""
    return maps.flatten(2).transpose(1, 2)


def _grid(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """Returns the centres [h w, 2] (x, y) of a level's places, in pixels of the image."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) * stride
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], -1).view(-1, 2)


@MODELS.add("fcos_small")
def fcos_small(
    num_classes: int,
    channels: int = 3,
    widths: Sequence[int] = (16, 32, 64, 128),
    neck: int | None = None,
    depth: int = 2,
    bins: int = 17,
) -> FCOS:
    """A small FCOS for detection: boxes with scores at strides 8 and 16."""
    return FCOS(widths, num_classes, channels, neck, depth, bins)
