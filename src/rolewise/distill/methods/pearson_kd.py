"""Pearson's distillation of detectors (PKD): each channel of the student correlates with the teacher's."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import as_map, check_places, same_size, width_map
from rolewise.distill.method_registry import method
from rolewise.errors import InputError
from rolewise.logits import standardised


@method(
    reads="features",
    mixed_labels="sound",
    taps=("level1", "level2", "level3", "level4", "level5"),
    adapter=partial(width_map, name="pearson_kd"),
    weight=6.0,
)
def pearson_kd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Half the mean squared difference of features whose channels are standardised over the batch and all places.

    .. math:: \ell_b = \frac{1}{2 D N} \sum_{d,n} (u^s_{bdn} - u^t_{bdn})^2, \quad
        \frac{1}{B} \sum_b \ell_b = \frac{1}{D} \sum_d \frac{BN - 1}{BN} (1 - \rho_d)

    with u a channel brought to mean 0 and variance 1 over the B N places of the batch, and rho the correlation of
    Pearson. Several pairs of taps, as the levels of a feature pyramid, are added.

    Source: Cao, Zhang, Gao, Cheng, Cheng, Cheng (2022), section 3.2, https://arxiv.org/abs/2207.02039; half the squared
    difference and the weight 6 of two-stage detectors (10 of RetinaNet) of the authors' code.
    Differs from source: given for each example; a learned 1x1 map where the widths differ, which the source has not;
    larger maps are averaged down, where the code resizes the student's bilinearly; a channel that does not vary is 0,
    and no 1e-6 stands beside the deviation.

    Args:
        student: maps [B, D, H, W], or tokens [B, T, D], where T tokens are the places of a square; after the learned
            map.
        teacher: maps or tokens of the same width, detached.

    Returns:
        [B], unreduced.

    Raises:
        InputError: one of them is a vector, the widths differ, or a channel has one value in the batch.
    """
    check_places("pearson_kd", student, teacher)
    student, teacher = same_size(as_map(student), as_map(teacher))
    check_same_shape(student, teacher, "maps [B, D, H, W]", 4)
    if student[:, 0].numel() < 2:
        raise InputError("pearson_kd must have two values of each channel in a batch, got one; tap a larger map")
    channels = (standardised(part.transpose(0, 1).flatten(1), centred=True) for part in (student, teacher))
    squares = (next(channels) - next(channels)).square()
    return squares.view(len(squares), len(student), -1).mean((0, 2)) / 2
