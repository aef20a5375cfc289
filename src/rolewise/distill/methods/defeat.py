"""Decoupled features: the student imitates the teacher's features of objects and of the background by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.dense_targets import covered_cells
from rolewise.distill.maps import as_map, check_places, neighbourhood_map, same_size
from rolewise.distill.method_registry import method


@method(
    reads="features",
    mixed_labels="unsound",
    alone=True,
    taps=("level1", "level2", "level3", "level4", "level5"),
    adapter=partial(neighbourhood_map, name="defeat"),
    parts=("foreground", "background"),
)
def defeat_loss(
    student: Tensor, teacher: Tensor, *, boxes: Sequence[Tensor], foreground: float = 3.0, background: float = 12.0
) -> Tensor:
    r"""Squared differences of features, averaged over the places of objects and over those of the background.

    .. math:: \ell_b = \frac{\alpha}{2 |O_b|} \sum_{p \in O_b} \lVert r(F^s_b)_p - F^t_{bp} \rVert^2
        + \frac{\beta}{2 |O_b^c|} \sum_{p \notin O_b} \lVert r(F^s_b)_p - F^t_{bp} \rVert^2

    with O the places that a box covers, at least in part, and r a learned 3x3 convolution. A part without a place is 0.

    Source: Guo, Han, Wang, Wu, Chen, Xu, Xu (2021), section 3.2, https://arxiv.org/abs/2103.14475; alpha and beta of
    the authors' code for the pyramid of Faster R-CNN. The second half of the source, decoupled proposals of the
    classification head, is `kd` on the task's rows.
    Differs from source: places are counted in each image, as the paper writes, and not over the batch; larger maps are
    averaged down to the smaller.

    Args:
        student: maps [B, D, H, W], or tokens [B, T, D] of a square, after the learned map.
        teacher: of the same width, detached.
        boxes: of each image [M, 4], as (x1, y1, x2, y2) in fractions of its width and height.
        foreground: alpha, weight of the objects' places.
        background: beta, weight of the other places.

    Returns:
        [B], unreduced.

    Raises:
        InputError: one of them is a vector, the widths differ, or a number is out of range.
    """
    for name, value in (("foreground", foreground), ("background", background)):
        check_limit(name, value, "not negative")
    check_places("defeat", student, teacher)
    student, teacher = same_size(as_map(student), as_map(teacher))
    check_same_shape(student, teacher, "maps [B, D, H, W]", 4)
    squares = (student - teacher).square().sum(1)
    objects = torch.stack([covered_cells(some, student.shape[2:]).any(0) for some in boxes]).to(squares.device)
    means = (
        torch.where(places, squares, 0.0).sum((1, 2)) / places.sum((1, 2)).clamp_min(1)
        for places in (objects, ~objects)
    )
    return (foreground * next(means) + background * next(means)) / 2
