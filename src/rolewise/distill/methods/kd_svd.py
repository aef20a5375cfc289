"""KD-SVD: how an image's main feature direction changes from stage to stage is as in the teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rolewise.distill.checks import check_limit, check_stages
from rolewise.distill.directions import aligned_direction, leading_direction
from rolewise.distill.maps import width_map
from rolewise.distill.method_registry import method


@method(
    reads="stages",
    mixed_labels="sound",
    alone=True,
    taps=("stage1", "stage2", "stage3", "stage4"),
    adapter=width_map,
    limits={"candidates": "count", "spread": "positive"},
)
def kd_svd_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], *, candidates: int = 4, spread: float = 8.0
) -> Tensor:
    r"""Squared difference of the relations between the main directions of consecutive stages.

    .. math:: R_{i,dd'} = \exp\Big(-\frac{(v_{i,d} - v_{i-1,d'})^2}{8}\Big), \quad
        \ell_b = \sum_{i > 1} \sum_{d,d'} \big(R^s_{i,dd'} - R^t_{i,dd'}\big)^2

    with v the first right singular vector of the image's features (places x channels) in the teacher, and in the
    student the one of its first four that lies closest to the teacher's line, turned its way.

    Source: Lee, Kim, Song (2018), https://arxiv.org/abs/1807.06819; constants of the code that
    role-wise distillation (2020), https://arxiv.org/abs/2004.08861, released.
    Differs from source: given for each example: the released code's sum over the batch is B times the mean, so its
    weight 1 is a weight of B here. One vector for each stage, whose scaling by normalised singular values is then 1;
    unit length exactly, not up to 1e-3; the teacher's sign, which is free, is fixed by its sum; a student of another
    width gets a learned 1x1 map; gradients stay bounded where singular values meet, instead of having NaN dropped.

    Args:
        student: features of at least two stages, from first to last: maps [B, D, H, W], tokens
            [B, T, D] or vectors [B, D].
        teacher: as many features of the same widths, detached; numbers of places may differ.
        candidates: number of the student's singular vectors that are compared with the teacher's.
        spread: of the Gaussian: what squared differences are divided by.

    Returns:
        [B], unreduced, summed over pairs of stages and of channels.

    Raises:
        InputError: fewer than two stages, other widths or batches, or a setting is out of range.
    """
    check_limit("candidates", candidates, "count")
    check_limit("spread", spread, "positive")
    check_stages("kd_svd", student, teacher)
    of_teacher = [leading_direction(features) for features in teacher]
    pairs = zip(student, of_teacher, strict=True)
    of_student = [aligned_direction(features, target, candidates=candidates) for features, target in pairs]
    total = torch.zeros(len(of_student[0]), dtype=of_student[0].dtype, device=of_student[0].device)
    for stage in range(1, len(of_student)):
        own, aim = (_relations(*some[stage - 1 : stage + 1], spread) for some in (of_student, of_teacher))
        total = total + (own - aim).square().sum((1, 2))
    return total


def _relations(before: Tensor, after: Tensor, spread: float) -> Tensor:
    """Returns [B, D, D'], the Gaussian of each difference between two stages' entries."""
    return torch.exp((after.unsqueeze(2) - before.unsqueeze(1)).square() / -spread)
