"""Reverse knowledge distillation: the divergence is taken under the student's probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence


@method(reads="logits", mixed_labels="sound", alone=True, weight=0.9, limits={"temperature": "temperature"})
def reverse_kd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    r"""Divergence of the teacher's softened class probabilities from the student's.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\mathrm{softmax}(s_b / T) \,\|\, \mathrm{softmax}(t_b / T))

    Where ``kd``, the forward direction, makes the student cover every class that the teacher thinks possible, this one
    makes it leave out those that the teacher thinks impossible. Both may stand beside each other, each with its weight.

    Source: Gu et al. (2024), MiniLLM, https://arxiv.org/abs/2306.08543, which states it for sequences.
    Differs from source: over classes and exact, where the source samples the student's sequences; temperature, T^2 and
    weight are those of ``kd``.

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
    ours, theirs = (functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return temperature**2 * divergence(ours, theirs)
