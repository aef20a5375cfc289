"""FSP: how a stage's channels go with the next one's, over places, is as in the teacher."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from rolewise.distill.checks import check_same_shape, check_stages
from rolewise.distill.maps import columns, same_size, width_map
from rolewise.distill.method_registry import method


@method(
    reads="stages",
    mixed_labels="sound",
    alone=True,
    taps=("stage1", "stage2", "stage3", "stage4"),
    adapter=width_map,
    weight=50.0,
)
def fsp_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    r"""Mean squared difference of the products of consecutive stages' channels.

    .. math:: G_{i,de} = \frac{1}{H W} \sum_{h,w} F_{i,dhw} F_{i+1,ehw}, \quad
        \ell_b = \sum_i \frac{1}{D_i D_{i+1}} \sum_{d,e} \big(G^s_{i,de} - G^t_{i,de}\big)^2

    Source: Yim et al. (2017),
    https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html; the mean over entries,
    the pooling and the weight 50 of RepDistiller.
    Differs from source: beside the other terms, where both train on it first and on the labels afterwards, as two
    phases of the training do; the larger of two consecutive maps is averaged down to the smaller's size, where others
    take maxima; a student of another width gets a learned 1x1 map.

    Args:
        student: features of at least two stages, from first to last: maps [B, D, H, W], tokens
            [B, T, D] or vectors [B, D].
        teacher: as many features of the same widths, detached; numbers of places may differ.

    Returns:
        [B], unreduced, summed over pairs of stages.

    Raises:
        InputError: fewer than two stages, or other widths or batches.
    """
    check_stages("fsp", student, teacher)
    total = torch.zeros(len(student[0]), dtype=student[0].dtype, device=student[0].device)
    for of_student, of_teacher in zip(itertools.pairwise(student), itertools.pairwise(teacher), strict=True):
        flow, wanted = _flow(*of_student), _flow(*of_teacher)
        check_same_shape(flow, wanted, "products of stages' channels [B, D, D']", 3)
        total = total + (flow - wanted).square().mean((1, 2))
    return total


def _flow(before: Tensor, after: Tensor) -> Tensor:
    """Returns [B, D, D'], the mean over places of the products of channels."""
    first, second = (columns(features) for features in same_size(before, after))
    return first @ second.transpose(1, 2) / first.shape[2]
