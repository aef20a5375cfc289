"""Quantised feature regression: the student learns the teacher's features at the precision of a few bits."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.maps import same_size, width_map
from rolewise.distill.method_registry import method


@method(
    reads="features", mixed_labels="sound", alone=True, taps=("penultimate",), adapter=width_map, limits={"bits": "few"}
)
def qfr_loss(student: Tensor, teacher: Tensor, *, bits: int = 4) -> Tensor:
    r"""Mean squared difference of the student's feature to the teacher's, rounded to a few levels.

    .. math:: Q(x) = l + \Delta \, \mathrm{round}\Big(\frac{x - l}{\Delta}\Big), \quad
        \Delta = \frac{u - l}{2^k - 1}, \quad \ell_b = \frac{1}{D} \lVert F^s_b - Q(F^t_b) \rVert^2

    with l and u the least and the greatest value of the example's own feature. A student whose activations have few
    bits cannot reach what lies between levels; this leaves it out of the target. It is at its least where the
    student's feature is Q of the teacher's.

    Source: Zhu, He, Wu (2023), Quantized Feature Distillation, https://arxiv.org/abs/2307.10638.
    Differs from source: the teacher's feature is rounded as it is, between its own bounds, where the authors first
    train the teacher with a quantiser behind it; a student of another width gets a learned linear map; larger maps are
    averaged down to the smaller size, before they are rounded.

    Args:
        student: [B, D], tokens [B, T, D] or maps [B, D, H, W].
        teacher: of the same width, detached; maps and tokens go together (`rolewise.distill.maps.same_size`).
        bits: k, at least 1; the teacher's feature has 2^k levels.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the widths differ, or bits is not a whole number of at least 1.
    """
    check_limit("bits", bits, "few")
    student, teacher = same_size(student, teacher)
    check_same_shape(student, teacher, "features [B, D, ...]", student.ndim)
    flat = teacher.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    step = (high - low) / (2.0**bits - 1)
    levels = ((flat - low) / torch.where(step > 0, step, 1.0)).round()
    return (student.flatten(1) - (low + levels * step)).square().mean(1)
