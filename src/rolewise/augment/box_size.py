"""Augmentation by the sizes of an image's boxes: noise where all are small, a crop elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.augment.ops import INDEX
from rolewise.augment.plan import Plan
from rolewise.errors import InputError


@dataclass(frozen=True)
class BoxSizeAugmentation:
    """Noise for images whose boxes are all small, which a crop would lose, and crops for the others.

    Source: Liang et al. (2023), https://github.com/JWLiang007/IKD: noise with probability 0.3, crops whose sides are
    0.8 to 1 of the image's, and both for the first 16 of 24 epochs.
    Differs from source: one share for both sides, and the part becomes as large as the image was.

    Args:
        small: side in pixels of a square; boxes of a smaller area are small.
        noisy: probability that an image of small boxes alone gets noise.
        least: the smallest side of a crop, as a part of the image's.
        until: fraction of the training after which it is switched off; 1 for never.

    Raises:
        InputError: a number is out of its range.
    """

    small: float
    noisy: float = 0.3
    least: float = 0.8
    until: float = 2 / 3

    def __post_init__(self) -> None:
        if not (self.small > 0 and 0 <= self.noisy <= 1 and 0 < self.least <= 1 and 0 <= self.until <= 1):
            raise InputError(
                "small must be positive, noisy and until in [0, 1] and least in (0, 1], got "
                f"{self.small}, {self.noisy}, {self.until} and {self.least}"
            )

    def all_small(self, labels: Tensor) -> Tensor:
        """Returns bool [N], the images whose boxes are all small, and those without a box.

        Args:
            labels: packed boxes [N, M, 6].
        """
        areas = (labels[..., 2:4] - labels[..., :2]).prod(-1)
        return ~((areas >= self.small**2) & (labels[..., 4] >= 0)).any(1)

    def draw(self, labels: Tensor, progress: float, draws: torch.Generator) -> tuple[Plan, Tensor]:
        """Returns a plan of the crops, and which of the images get noise, bool [N].

        Args:
            labels: packed boxes [N, M, 6].
            progress: fraction of the training that is done.
            draws: generator of all draws.
        """
        drawn, count = torch.rand(len(labels), 4, generator=draws), len(labels)
        ops, off = torch.full((count, 1), -1), progress >= self.until
        small = self.all_small(labels)
        if not off:
            ops[~small, 0] = INDEX["scale"]
        octaves = -torch.log2(self.least + (1 - self.least) * drawn[:, 1:2])
        noisy = small & (drawn[:, 0] < self.noisy)
        return Plan(ops, octaves, drawn[:, None, 2:]), noisy & (not off)
