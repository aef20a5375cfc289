"""Structured pair-wise distillation: places of an image that look alike to the teacher look alike to the student."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_rows
from rolewise.distill.maps import as_map, check_places, columns
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import mean_square, unit


@method(reads="features", mixed_labels="sound", alone=True, taps=("last_stage",), weight=1.0, limits={"grid": "count"})
def pairwise_loss(student: Tensor, teacher: Tensor, *, grid: int = 2) -> Tensor:
    r"""Mean squared difference of the cosines between an image's places.

    .. math:: \ell_b = \frac{1}{N^2} \sum_{i,j} \big(\cos(f^s_{bi}, f^s_{bj}) - \cos(f^t_{bi}, f^t_{bj})\big)^2

    with f_i the greatest values of all channels within cell i of a grid over the map, N cells. The widths of the two
    networks need not agree.

    Source: Liu, Chen, Liu, Qin, Luo, Wang (2019), section 3.2, https://arxiv.org/abs/1903.04197; grid, reduction and
    weight of the authors' code.
    Differs from source: cells of maps whose sides the grid does not divide overlap, where the code rounds up the last;
    a zero feature has the cosine 0.

    Args:
        student: maps [B, D, H, W], or tokens [B, T, D], where T tokens are the H H places.
        teacher: maps or tokens, detached.
        grid: cells along each side; a shorter side has one for each place.

    Returns:
        [B], unreduced.

    Raises:
        InputError: one of them is a vector, tokens are not the places of a square, or grid is not positive.
    """
    check_limit("grid", grid, "count")
    check_places("pairwise", student, teacher)
    check_rows(student, teacher)
    student, teacher = as_map(student), as_map(teacher)
    cells = [min(grid, student.shape[axis], teacher.shape[axis]) for axis in (2, 3)]
    of_student, of_teacher = (
        unit(columns(functional.adaptive_max_pool2d(feature, cells))) for feature in (student, teacher)
    )
    cosines = (places.transpose(1, 2) @ places for places in (of_student, of_teacher))
    return mean_square(next(cosines), next(cosines))
