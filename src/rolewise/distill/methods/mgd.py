"""Masked generative distillation: from the student's feature with parts dropped the teacher's whole is generated."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError
from rolewise.seeds import uniform_rows


def generation(width: int, out: int) -> nn.Sequential:
    """Returns the learned part of one pair of taps: a 1x1 map of the student's width, and the generator behind it.

    Args:
        width: of the student's feature.
        out: of the teacher's.
    """
    align = nn.Identity() if width == out else nn.Conv2d(width, out, 1)
    generator = nn.Sequential(nn.Conv2d(out, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1))
    return nn.Sequential(align, generator)


@method(
    reads="stages", mixed_labels="sound", alone=True, taps=("last_stage",), weight=2e-5, limits={"drop": "fraction"}
)
class MGD(Term):
    r"""Squared difference of the teacher's feature to one generated from the student's, of which parts are dropped.

    .. math:: \ell_b = \sum_i \big\lVert G_i\big(M_{bi} \odot a_i(F^s_{bi})\big) - F^t_{bi} \big\rVert^2

    with a learned 1x1 map a where the widths differ, a learned generator G of two 3x3 convolutions with ReLU between,
    and a mask M that is 0 at a place (or of a channel) with the probability ``drop``, drawn for each example and step.

    Source: Yang, Li, Shao, Shi, Yuan, Yuan (2022), section 3, https://arxiv.org/abs/2205.01529; the sum over all
    entries, and with it the small weights, of the authors' code: 2e-5 with ``drop=0.65`` of one-stage detectors and
    0.75 of segmentation, 5e-7 with 0.45 of two-stage detectors, and 7e-5 with 0.15 of the channels of classifiers.
    Differs from source: larger maps are averaged down to the smaller.

    Args:
        shapes: of the features: maps [B, D, H, W].
        drop: probability with which a place or a channel is dropped, in [0, 1].
        drop_from: ``places``, the same ones of all channels, or ``channels``.

    Raises:
        InputError: a tap gives no maps.
    """

    def __init__(
        self, shapes: Shapes, *, drop: float = 0.65, drop_from: Literal["places", "channels"] = "places"
    ) -> None:
        super().__init__()
        self.drop, self.drop_from = drop, drop_from
        for shape in (*shapes.student, *shapes.teacher):
            if len(shape) != 4:
                raise InputError(
                    f"mgd must tap maps [B, D, H, W], got {list(shape)}; declare the grid of a network of tokens, as "
                    'in network.tokens = {"prefix": 1, "grid": (14, 14)}, or choose other taps'
                )
        self.generators = nn.ModuleList(
            generation(student[1], teacher[1]) for student, teacher in zip(shapes.student, shapes.teacher, strict=True)
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs and all entries."""
        stream, losses = context.generator(self.name), []
        for part, pair in zip(self.generators, self.paired(student, teacher), strict=True):
            align, generator = part.children()
            feature, wanted = same_size(*pair)
            aligned = through(align, feature)
            kept = self.drawn(aligned, context, stream).to(aligned)
            losses.append((through(generator, aligned * kept) - wanted).square().flatten(1).sum(1))
        return torch.stack(losses).sum(0)

    def drawn(self, feature: Tensor, context: Context, stream: torch.Generator) -> Tensor:
        """Returns a mask, bool [B, 1, H, W] or [B, D, 1, 1], that is False where the feature is dropped."""
        count, width, *sides = feature.shape
        shape = (1, *sides) if self.drop_from == "places" else (width, 1, 1)
        return uniform_rows(stream, count, *shape, part=context.part) >= self.drop
