"""Normalised distillation: the target by the teacher's sureness, the other classes by their shares among themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.methods.dkd import target_set


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    least_classes=3,
    limits={"temperature": "temperature"},
    parts=("target", "others"),
)
def nkd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    labels: Tensor,
    target: float = 1.0,
    others: float = 1.5,
    temperature: float = 1.0,
) -> Tensor:
    r"""Cross-entropy of the target under the teacher's probability, and of the other classes at the sum 1.

    .. math:: \ell_b = -\alpha \, p^t_y \log p^s_y - \gamma \, T^2 \sum_{k \ne y} n^t_k \log n^s_k, \quad
        n_k = \frac{\exp(z_k / T)}{\sum_{j \ne y} \exp(z_j / T)}

    with p = softmax(z). Mixed labels have a set of targets, as in `rolewise.distill.methods.dkd`: the first part is the
    sum over them, and all of them are left out of the second.

    Source: Yang, Zeng, Li, Zhang, Yuan, Li (2023), section 3.1, https://arxiv.org/abs/2303.13005; gamma, T and the
    labels' weight 1 of the authors' code for ImageNet.
    Differs from source: mixed labels, of which the code takes the greatest alone; alpha is 1 there.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        labels: int64 [B], or soft [B, K].
        target: alpha, weight of the targets.
        others: gamma, weight of the other classes.
        temperature: T > 0 of the other classes, dimensionless.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, or a number is out of range.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    for name, value in (("target", target), ("others", others)):
        check_limit(name, value, "not negative")
    check_limit("temperature", temperature, "temperature")
    targets = target_set(labels, student.shape[1])
    own, wanted = (functional.log_softmax(logits, dim=1) for logits in (student, teacher))
    sure = -(torch.where(targets, wanted.exp(), 0.0) * own).sum(1)
    # Where all classes are targets nothing is left, and the second part is 0.
    rest = ~targets | targets.all(1, keepdim=True)
    shares, wanted_shares = (
        (logits / temperature).masked_fill(~rest, -torch.inf).log_softmax(1).masked_fill(~rest, 0.0)
        for logits in (student, teacher)
    )
    among = -(wanted_shares.exp() * shares).sum(1).masked_fill(targets.all(1), 0.0)
    return target * sure + others * temperature**2 * among
