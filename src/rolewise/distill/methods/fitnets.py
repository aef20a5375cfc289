"""FitNets: the student's hint, brought to the teacher's width by a learned 1x1 map, imitates the teacher's feature."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import same_size, width_map
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import mean_square

#: The learned map from the student's width to the teacher's, of each place.
regressor = partial(width_map, bias=True, name="fitnets")


@method(reads="features", mixed_labels="sound", alone=True, taps=("stage2",), adapter=regressor, weight=100.0)
def fitnets_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the student's regressed feature to the teacher's.

    .. math:: \ell_b = \frac{1}{D H W} \lVert r(F^s_b) - F^t_b \rVert^2

    Source: Romero et al. (2015), equation 3, https://arxiv.org/abs/1412.6550.
    Differs from source: beside the other terms, unless phases of the training put it before them; a mean in place of
    half the sum, as later re-implementations have it; larger maps are averaged down to the smaller size.

    Args:
        student: [B, D, H, W], tokens [B, T, D] or vectors [B, D], after the learned regressor.
        teacher: of the same width, detached; maps and tokens go together (`rolewise.distill.maps.same_size`).

    Returns:
        [B], unreduced.

    Raises:
        InputError: the widths differ, or their places do not go together.
    """
    student, teacher = same_size(student, teacher)
    check_same_shape(student, teacher, "features [B, D, ...]", student.ndim)
    return mean_square(student, teacher)
