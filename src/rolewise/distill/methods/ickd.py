"""Inter-channel correlation: the student's channels relate to one another as the teacher's do."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from rolewise.distill.checks import check_rows, check_same_shape
from rolewise.distill.maps import columns, width_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import unit


@method(
    reads="features",
    mixed_labels="sound",
    alone=True,
    taps=("last_stage",),
    adapter=partial(width_map, name="ickd"),
    weight=2.5,
)
def ickd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared difference of the correlations between channels, each channel's at unit length.

    .. math:: \ell_b = \frac{1}{D} \sum_{d,e} \Big(\frac{G^s_{bde}}{\lVert G^s_{bd} \rVert}
        - \frac{G^t_{bde}}{\lVert G^t_{bd} \rVert}\Big)^2, \quad G_{bde} = \sum_n F_{bdn} F_{ben}

    over N places, whose number need not agree. Vectors are maps of one place.

    Source: Liu et al. (2021), section 3.2, https://arxiv.org/abs/2202.03680; reduction and weight of the authors' code
    for CIFAR-100.
    Differs from source: the learned map to the teacher's width has no batch norm, and is left out where the widths
    agree. torchdistill 1.1.5 divides by the batch once more.

    Args:
        student: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D], after the learned map.
        teacher: of the same width, detached.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the widths or the batches differ.
    """
    check_rows(student, teacher)
    first, second = (places @ places.transpose(1, 2) for places in (columns(student), columns(teacher)))
    check_same_shape(first, second, "correlations of channels [B, D, D]", 3)
    of_student, of_teacher = (unit(gram.flatten(0, 1)).view_as(gram) for gram in (first, second))
    return (of_student - of_teacher).square().sum((1, 2)) / width_of(student.shape)
