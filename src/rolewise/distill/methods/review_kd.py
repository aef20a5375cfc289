"""Knowledge review: stages of the student, fused from the deepest up by learned gates, imitate the teacher's stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.vectors import mean_square
from rolewise.errors import InputError

#: Sides of the grids on which features are compared beside their own, each with half the weight of the one before.
GRIDS = (4, 2, 1)


class Fusion(nn.Module):
    """Fuses a stage of the student with what was fused of the deeper ones, and brings it to the teacher's width.

    Args:
        width: D of the student's stage.
        middle: of what is handed up.
        out: D of the teacher's stage.
        deepest: whether no stage is deeper, so that there is nothing to fuse with.
    """

    def __init__(self, width: int, middle: int, out: int, *, deepest: bool) -> None:
        super().__init__()
        narrow = nn.Conv2d(width, middle, 1, bias=False)
        spread = nn.Conv2d(middle, out, 3, padding=1, bias=False)
        for conv in (narrow, spread):
            nn.init.kaiming_uniform_(conv.weight, a=1)
        self.narrow = nn.Sequential(narrow, nn.BatchNorm2d(middle))
        self.spread = nn.Sequential(spread, nn.BatchNorm2d(out))
        self.gates = None if deepest else nn.Conv2d(2 * middle, 2, 1)

    def forward(self, stage: Tensor, deeper: Tensor | None, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Returns the fused stage at the teacher's width, and what is handed up; both of the given H and W."""
        fused = self.narrow(stage)
        if self.gates is not None and deeper is not None:
            deeper = functional.interpolate(deeper, fused.shape[2:], mode="nearest")
            gates = self.gates(torch.cat([fused, deeper], 1)).sigmoid()
            fused = fused * gates[:, :1] + deeper * gates[:, 1:]
        if fused.shape[2:] != tuple(size):
            fused = functional.interpolate(fused, tuple(size), mode="nearest")
        return self.spread(fused), fused


@method(
    reads="stages",
    name="review_kd",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4", "penultimate"),
    weight=5.0,
    limits={"middle": "count"},
)
class ReviewKD(Term):
    r"""Squared difference of fused student stages to the teacher's, on several grids.

    .. math:: \ell_b = \sum_i \frac{1}{\sum_g w_g} \sum_{g} w_g \, \mathrm{mean} \big( P_g(S_i) - P_g(F^t_i) \big)^2

    with S_i the fused stage i, P_g the average over a grid: the places themselves (w = 1), then 4x4, 2x2 and 1x1, as
    far as these are smaller, each with half the weight of the one before.

    Source: Chen, Liu, Zhao, Jia (2021), section 3, https://arxiv.org/abs/2104.09044; constants of the authors' code,
    whose weight lies between 0.6 and 8 on CIFAR-100, and rises over the first 20 of 240 epochs: give
    ``weight={"start": 0, "end": 5, "at": 0.083}``.
    Differs from source: stages are tapped after their last ReLU; height and width may differ.

    Args:
        shapes: of the stages from first to last: maps [B, D, H, W], or vectors [B, D] as maps of one place.
        middle: the width of what is handed up, at most; the deepest student stage's where that is smaller.

    Raises:
        InputError: a tap gives neither maps nor vectors, or a vector's batch is one example.
    """

    def __init__(self, shapes: Shapes, *, middle: int = 512) -> None:
        super().__init__()
        for shape in (*shapes.student, *shapes.teacher):
            if len(shape) not in (2, 4):
                raise InputError(
                    f"review_kd must tap maps [B, D, H, W] or vectors [B, D], got {list(shape)}; declare the grid of a "
                    'network of tokens, as in network.tokens = {"prefix": 1, "grid": (14, 14)}, or choose other taps'
                )
        middle = min(middle, shapes.student[-1][1])
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        self.fusions = nn.ModuleList(
            Fusion(student[1], middle, teacher[1], deepest=index == len(pairs) - 1)
            for index, (student, teacher) in enumerate(pairs)
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over stages."""
        losses, deeper = [], None
        for fusion, pair in reversed(list(zip(self.fusions, self.paired(student, teacher), strict=True))):
            stage, wanted = (feature[:, :, None, None] if feature.ndim == 2 else feature for feature in pair)
            if self.training and min(stage[:, 0].numel(), wanted[:, 0].numel()) < 2:
                raise InputError("review_kd must have two examples in a batch, as its norms want two values, got one")
            precision = next(fusion.parameters()).dtype
            fused, deeper = fusion(stage.to(precision), deeper, wanted.shape[2:])
            losses.append(on_grids(at_least_float32(fused), wanted))
        return torch.stack(losses).sum(0)


def on_grids(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the weighted mean [B] of squared differences of maps [B, D, H, W], over their own grid and `GRIDS`."""
    total, weights, weight = mean_square(student, teacher), 1.0, 1.0
    for side in GRIDS:
        if side < min(student.shape[2:]):
            pooled = (functional.adaptive_avg_pool2d(features, side) for features in (student, teacher))
            weight /= 2
            total, weights = (
                total + weight * mean_square(next(pooled), next(pooled)),
                weights + weight,
            )
    return total / weights
