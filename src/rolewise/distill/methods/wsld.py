"""Weighted soft labels: an example teaches the more, the worse the student still is at its label than the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence

#: Beside the teacher's cross-entropy, as in the authors' code.
EPSILON = 1e-7


@method(reads="logits", mixed_labels="sound", alone=True, weight=2.5, limits={"temperature": "temperature"})
def wsld_loss(student: Tensor, teacher: Tensor, *, labels: Tensor, temperature: float = 2.0) -> Tensor:
    r"""Divergence of the softened class probabilities, weighted by the cross-entropies under the label.

    .. math:: \ell_b = w_b \, T^2 \, \mathrm{KL}(\mathrm{softmax}(t_b / T) \,\|\, \mathrm{softmax}(s_b / T)), \quad
        w_b = 1 - \exp\Big(-\frac{\mathrm{CE}(s_b, y_b)}{\mathrm{CE}(t_b, y_b) + 10^{-7}}\Big)

    The weight, which balances the bias and the variance that soft labels bring, gets no gradient.

    Source: Zhou et al. (2021), equation 12, https://arxiv.org/abs/2102.00650; temperature and weight of the authors'
    code for ImageNet.
    Differs from source: the divergence in place of the cross-entropy, which has the same gradient and the minimum 0;
    soft labels, under which both cross-entropies are defined.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        labels: int64 [B], or soft [B, K].
        temperature: T > 0, dimensionless.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, or temperature is not positive.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("temperature", temperature, "temperature")
    target, predicted = (functional.log_softmax(logits / temperature, dim=1) for logits in (teacher, student))
    labels = labels.to(student.dtype) if labels.is_floating_point() else labels
    with torch.no_grad():
        own, other = (functional.cross_entropy(logits, labels, reduction="none") for logits in (student, teacher))
        weights = -torch.expm1(-own / (other + EPSILON))
    return weights * temperature**2 * divergence(target, predicted)
