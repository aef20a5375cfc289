"""Transformed teacher matching: the student's own probabilities follow a power of the teacher's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape, check_switch
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence


@method(reads="logits", mixed_labels="sound", alone=True, weight=45.0, limits={"power": "positive"})
def ttm_loss(student: Tensor, teacher: Tensor, *, power: float = 0.1, weighted: bool = False) -> Tensor:
    r"""Divergence of the student's class probabilities, as they are, from a power of the teacher's.

    .. math:: \ell_b = u_b \, \mathrm{KL}(q_b \,\|\, \mathrm{softmax}(s_b)), \quad
        q_{bk} = \frac{p_{bk}^\gamma}{\sum_j p_{bj}^\gamma}, \quad p_b = \mathrm{softmax}(t_b)

    with u = 1, or the sum over j of p_j to the power gamma where it is ``weighted`` (WTTM), which counts examples more
    of which the teacher is less sure. The target is the teacher's at the temperature 1 / gamma; the student is not
    softened, and no temperature is squared.

    Source: Zheng and Yang (2024), sections 3 and 4, https://arxiv.org/abs/2402.11148; gamma and weight of the authors'
    code for CIFAR-100, which has smaller weights beside ``weighted``, whose u is up to K to the power 1 - gamma.
    Differs from source: none.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        power: gamma > 0, dimensionless.
        weighted: whether examples are weighted by the sum of the teacher's powers.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, or power is not positive.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("power", power, "positive")
    check_switch("weighted", weighted)
    powers = power * functional.log_softmax(teacher, dim=1)
    losses = divergence(functional.log_softmax(powers, dim=1), functional.log_softmax(student, dim=1))
    return losses * powers.logsumexp(1).exp() if weighted else losses
