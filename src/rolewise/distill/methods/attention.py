"""Attention transfer: the student looks at the places that the teacher looks at."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import channels_of, check_places, same_size
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import mean_square


@method(
    reads="features", mixed_labels="sound", alone=True, taps=("stage1", "stage2", "stage3", "stage4"), weight=1000.0
)
def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the normalised attention maps.

    .. math:: Q(F) = \mathrm{vec}\Big(\frac{1}{D}\sum_d F_d^2\Big), \quad
        \ell_b = \frac{1}{HW}
        \Big\lVert \frac{Q^s_b}{\lVert Q^s_b \rVert} - \frac{Q^t_b}{\lVert Q^t_b \rVert} \Big\rVert^2

    Source: Zagoruyko and Komodakis (2017), equation 2, https://arxiv.org/abs/1612.03928.
    Differs from source: the mean of the squared difference, as the authors' code has it, not the paper's norm.

    Args:
        student: [B, D, H, W] or [B, T, D], where T tokens are the H W places.
        teacher: [B, D', H', W'] or [B, T', D'], detached; see `rolewise.distill.maps.same_size`.

    Returns:
        [B], unreduced.

    Raises:
        InputError: one of them is a vector, or their places do not go together.
    """
    check_places("attention", student, teacher)
    student, teacher = same_size(student, teacher)
    student_map, teacher_map = (
        functional.normalize(feature.square().mean(channels_of(feature)).flatten(1), dim=1)
        for feature in (student, teacher)
    )
    check_same_shape(student_map, teacher_map, "attention maps [B, H W]", 2)
    return mean_square(student_map, teacher_map)
