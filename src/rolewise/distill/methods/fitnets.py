"""FitNets: the student's hint, brought to the teacher's width by a learned 1x1 map, imitates the teacher's feature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import same_size
from rolewise.distill.registry import method
from rolewise.errors import InputError


def regressor(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> nn.Module:
    """Returns the learned map from the student's width to the teacher's.

    Args:
        student_shape: [B, D] or [B, D, H, W].
        teacher_shape: of the same number of dimensions.

    Raises:
        InputError: one is a map and the other a vector.
    """
    if len(student_shape) != len(teacher_shape) or len(student_shape) not in (2, 4):
        raise InputError(
            f"fitnets must tap two maps [B, D, H, W] or two vectors [B, D], got {list(student_shape)} and "
            f"{list(teacher_shape)}; choose other taps"
        )
    if len(student_shape) == 2:
        return nn.Linear(student_shape[1], teacher_shape[1])
    return nn.Conv2d(student_shape[1], teacher_shape[1], 1)


@method(reads="features", mixed_labels="sound", alone=True, taps=("stage2",), adapter=regressor, weight=100.0)
def fitnets_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the student's regressed feature to the teacher's.

    .. math:: \ell_b = \frac{1}{D H W} \lVert r(F^s_b) - F^t_b \rVert^2

    Source: Romero et al. (2015), equation 3, https://arxiv.org/abs/1412.6550.
    Differs from source: one stage, beside the other terms, instead of a stage of its own before them; a mean in place
    of half the sum, as later re-implementations have it; larger maps are averaged down to the smaller size.

    Args:
        student: [B, D, H, W] or [B, D], after the learned regressor.
        teacher: of the same width, detached.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the widths differ.
    """
    student, teacher = same_size(student, teacher)
    check_same_shape(student, teacher, "features [B, D, ...]", student.ndim)
    return (student - teacher).square().flatten(1).mean(1)
