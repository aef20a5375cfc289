"""SKD, direction: the cosines between the logits of a batch are the teacher's, by Mahalanobis distance."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import EQUAL, unit


@method(reads="logits", mixed_labels="sound", least_classes=3, weight=1.0, limits={"ridge": "positive"})
def skd_direction_loss(student: Tensor, teacher: Tensor, *, ridge: float = 0.1) -> Tensor:
    r"""Mahalanobis length of the difference between an example's cosines to the batch in both networks.

    .. math:: \ell_b = \sqrt{d_b^\top (\Sigma + \lambda I)^{-1} d_b}, \quad d_{bc} = \cos(s_b, s_c) - \cos(t_b, t_c)

    with Sigma the covariance of the rows d over the batch. The term of SKD beside it, the divergence at T = 4 without
    its factor T^2, is ``kd(temperature=4, weight=0.0625)``.

    Source: Jeong, Lee, Choi (2026), Streamlined knowledge distillation, CVPR,
    https://openaccess.thecvf.com/content/CVPR2026/papers/Jeong_Streamlined_Knowledge_Distillation_CVPR_2026_paper.pdf,
    as torchdistill 1.1.5 has it; lambda of the authors' code.
    Differs from source: a row of zero has the loss 0 and no gradient, where the root's is not a number; one example has
    no covariance.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        ridge: lambda > 0, which is added to the variances.

    Returns:
        [B], dimensionless, unreduced.

    Raises:
        InputError: the shapes differ, or ridge is not positive.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("ridge", ridge, "positive")
    own, aim = unit(student), unit(teacher)
    rows = own @ own.T - aim @ aim.T
    centred = rows - rows.mean(0)
    spread = centred.T @ centred / max(len(rows) - 1, 1)
    spread = spread + ridge * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    squares = (rows * torch.linalg.solve(spread, rows.T).T).sum(1)
    short = squares <= EQUAL
    return torch.where(short, 0.0 * squares, torch.where(short, 1.0, squares).sqrt())
