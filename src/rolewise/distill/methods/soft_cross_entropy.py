"""Soft-label cross-entropy: the teacher's probabilities are the student's labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method


@method(reads="logits", mixed_labels="sound", alone=True, limits={"temperature": "temperature"})
def soft_cross_entropy_loss(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Cross-entropy of the student's softened probabilities under the teacher's.

    .. math:: \ell_b = -T^2 \sum_c \mathrm{softmax}(t_b / T)_c \, \log \mathrm{softmax}(s_b / T)_c

    Its gradient is that of ``kd`` at the same temperature; its value is above that by T^2 times the entropy of the
    teacher's probabilities, which is its least. So it is on one scale with the labels' cross-entropy.

    Source: Hinton, Vinyals, Dean (2015), section 2, https://arxiv.org/abs/1503.02531.
    Differs from source: none. The default temperature is 1, that of training on soft labels.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        temperature: T > 0, dimensionless.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, or temperature is not positive.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("temperature", temperature, "temperature")
    target = functional.softmax(teacher / temperature, dim=1)
    predicted = functional.log_softmax(student / temperature, dim=1)
    found: Tensor = -(temperature**2) * torch.linalg.vecdot(target, predicted)
    return found
