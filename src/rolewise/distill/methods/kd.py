"""Knowledge distillation: the student imitates the teacher's softened class probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method


@method(reads="logits", mixed_labels="sound", alone=True, weight=0.9, limits={"temperature": "temperature"})
def kd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    r"""Divergence of the student's softened class probabilities from the teacher's.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\mathrm{softmax}(t_b / T) \,\|\, \mathrm{softmax}(s_b / T))

    Source: Hinton, Vinyals, Dean (2015), section 2, https://arxiv.org/abs/1503.02531. T^2 keeps the gradient's size as
    T changes.
    Differs from source: none.

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
    target = functional.log_softmax(teacher / temperature, dim=1)
    predicted = functional.log_softmax(student / temperature, dim=1)
    # One product over the classes, T^2 on the teacher's side of it: fewer steps to go back through.
    divergence: Tensor = torch.linalg.vecdot(target.exp() * temperature**2, target - predicted)
    return divergence
