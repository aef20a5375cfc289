"""Neuron selectivity transfer: the student's channels, as a set, look at the places that the teacher's look at."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_rows
from rolewise.distill.maps import check_places, columns, same_size
from rolewise.distill.method_registry import method


@method(reads="features", mixed_labels="sound", alone=True, taps=("stage1", "stage2", "stage3", "stage4"), weight=50.0)
def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared maximum mean discrepancy of the two sets of channels, under a quadratic kernel.

    .. math:: \ell_b = \frac{1}{D'^2} \sum_{d,e} \langle f^t_d, f^t_e \rangle^2
        + \frac{1}{D^2} \sum_{d,e} \langle f^s_d, f^s_e \rangle^2
        - \frac{2}{D D'} \sum_{d,e} \langle f^s_d, f^t_e \rangle^2

    with f_d channel d of the example's map as a vector over places, of unit length. Channels are matched as a set, so
    that the widths may differ.

    Source: Huang and Wang (2017), https://arxiv.org/abs/1707.01219; the kernel
    without a constant and the weight 50 of RepDistiller.
    Differs from source: larger maps are averaged down to the smaller size, as in RepDistiller.

    Args:
        student: [B, D, H, W] or tokens [B, T, D].
        teacher: [B, D', H', W'] or [B, T', D'], detached; see `rolewise.distill.maps.same_size`.

    Returns:
        [B], unreduced, at least 0 but for rounding.

    Raises:
        InputError: one of them is a vector, their places do not go together, or the batches differ in size.
    """
    check_places("nst", student, teacher)
    check_rows(student, teacher)
    of_student, of_teacher = (
        functional.normalize(columns(features), dim=2) for features in same_size(student, teacher)
    )
    return _kernel(of_teacher, of_teacher) + _kernel(of_student, of_student) - 2 * _kernel(of_student, of_teacher)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    """Returns the mean over pairs of channels, [B]."""
    return (first @ second.transpose(1, 2)).square().mean((1, 2))
