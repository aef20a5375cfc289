"""Mixing: mixup and CutMix, of all images of a batch or of an exact share of them. Here plans are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rolewise.augment.mix_draws import draw_boxes, draw_mixed, draw_partners, draw_ratios
from rolewise.augment.mix_plan import MixPlan
from rolewise.errors import InputError, near

METHODS = ("mixup", "cutmix")
PAIRS = ("any", "within", "across")


@dataclass(frozen=True)
class Mix:
    r"""The distribution that plans of mixing are drawn from at one moment.

    The ratio r, an image's own share, is Beta(alpha, alpha). CutMix takes a box of (1 - r) of the image's area, its
    middle anywhere, from the partner; what of the box falls outside the image is lost, and r is set to the exact area.

    Source: Zhang et al. (2018), https://arxiv.org/abs/1710.09412; Yun et al. (2019), https://arxiv.org/abs/1905.04899;
    partial mixing and the inexact share: the code released with MIX-KD (Choi et al., 2023).
    Differs from source: no image is mixed with itself; partners are drawn independently, each as likely as any other
    that ``pairs`` allows; a box always has its middle, so that a drawn image is mixed, and sides of an odd number of
    pixels stay so.

    Args:
        method: ``mixup`` or ``cutmix``.
        alpha: of the Beta distribution, above 0.
        mixed_fraction: of the batch's images that are mixed, in [0, 1].
        share_kind: ``exact``: mixed_fraction x batch, rounded, drawn without replacement; ``legacy``: the released
            code's draw of the clean images with replacement, which mixes (1 - 1/B)^int(B (1 - share)) of them: 40.7% at
            share .1 and batch 64.
        ratio: one for each ``sample``, or one (and one box) for the ``batch``.
        fold: whether r becomes max(r, 1 - r), so that an image is most of itself.
        pairs: partners of ``any`` class, ``within`` the class or ``across`` classes. An image without such a partner in
            its batch stays clean.

    Raises:
        InputError: a name is unknown or a number out of range.
    """

    method: str = "mixup"
    alpha: float = 1.0
    mixed_fraction: float = 1.0
    share_kind: Literal["exact", "legacy"] = "exact"
    ratio: Literal["sample", "batch"] = "sample"
    fold: bool = False
    pairs: str = "any"

    def __post_init__(self) -> None:
        for what, value, names in (
            ("method", self.method, METHODS),
            ("share_kind", self.share_kind, ("exact", "legacy")),
            ("ratio", self.ratio, ("sample", "batch")),
            ("pairs", self.pairs, PAIRS),
        ):
            if value not in names:
                raise InputError(f"{what} must be one of {', '.join(names)}, got {value!r}{near(str(value), names)}")
        if not 0 < self.alpha < math.inf:
            raise InputError(f"alpha must be above 0 and finite, got {self.alpha}; method none mixes nothing")
        if not 0 <= self.mixed_fraction <= 1:
            raise InputError(f"mixed_fraction must be between 0 and 1, got {self.mixed_fraction}")

    def draw(
        self, labels: Tensor, size: tuple[int, int], generator: torch.Generator, *, batch_size: int | None = None
    ) -> MixPlan:
        """Draws a plan for images in order, each of which meets only those of its own batch.

        Args:
            labels: int64 [N] on the CPU, the images' classes.
            size: (H, W) in pixels.
            generator: of all draws.
            batch_size: B; all N are one batch by default. A last one may be smaller.
        """
        drawn = [self._block(block, size, generator) for block in _blocks(labels, batch_size or len(labels))]
        sources = torch.arange(len(labels))
        partners, ratios, boxes = sources.clone(), torch.ones(len(labels)), torch.zeros(len(labels), 4).long()
        start = 0
        for some, shares, corners in drawn:
            count = some.numel()
            offsets = torch.arange(count) // some.shape[1] * some.shape[1] + start
            partners[start : start + count] = some.flatten() + offsets
            ratios[start : start + count] = shares.flatten()
            boxes[start : start + count] = corners.flatten(0, 1)
            start += count
        return MixPlan(sources, partners, ratios, boxes if self.method == "cutmix" else None)

    def _block(
        self, labels: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws partners [G, B] within each batch, ratios [G, B] and boxes [G, B, 4] for G batches of the same size."""
        groups, count = labels.shape
        partners = draw_partners(labels, generator, pairs=self.pairs)
        shape = (groups, count if self.ratio == "sample" else 1)
        ratios = draw_ratios(shape, self.alpha, generator, fold=self.fold).expand(groups, count)
        boxes = torch.zeros(groups, count, 4, dtype=torch.int64)
        if self.method == "cutmix":
            places = torch.rand(*shape, 2, generator=generator, dtype=torch.double).expand(groups, count, 2)
            boxes, ratios = draw_boxes(ratios, size, places)
        kept = partners != torch.arange(count)
        kept = kept & draw_mixed(kept, self.mixed_fraction, generator, kind=self.share_kind)
        partners = torch.where(kept, partners, torch.arange(count))
        return partners, torch.where(kept, ratios, 1.0).float(), boxes * kept.unsqueeze(2)


def _blocks(labels: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Gives the full batches as [G, B], then what is left as [1, R]."""
    full = len(labels) // batch_size * batch_size
    if full:
        yield labels[:full].view(-1, batch_size)
    if full < len(labels):
        yield labels[full:].view(1, -1)
