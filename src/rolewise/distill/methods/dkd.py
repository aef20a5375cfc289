"""Decoupled knowledge distillation: the teacher's target probability and its other classes, weighed apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    least_classes=3,
    limits={"temperature": "temperature"},
    parts=("target", "others"),
)
def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    labels: Tensor,
    target: float = 1.0,
    others: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    r"""Divergence between targets and rest, and divergence among the rest, each with its own weight.

    .. math:: \ell_b = T^2 \big(\alpha \, \mathrm{KL}(b^t \| b^s) + \beta \, \mathrm{KL}(q^t \| q^s)\big)

    With one label c, b is the pair (p_c, 1 - p_c) of p = softmax(z / T), and q are the other classes' probabilities
    divided by 1 - p_c. These are TCKD and NCKD; since

    .. math:: \mathrm{KL}(p^t \| p^s) = \mathrm{KL}(b^t \| b^s) + (1 - p^t_c) \, \mathrm{KL}(q^t \| q^s),

    ``kd`` weighs the other classes' part by how unsure the teacher is of the target, and this does not.

    Mixed labels. The targets are then the set S of the label's classes, and b has an entry for each of them and one for
    the rest: (p_i, p_j, 1 - p_i - p_j). The identity above still holds, with the mass of the rest in place of 1 - p_c:
    the rest is freed of the teacher's sureness about what the image shows, which is what the method is for. The other
    choice, DKD for each label weighed by its share, leaves the second label among the others of the first, where it
    outweighs the rest as a target does. Shares play no part: the mass of each class is the teacher's own, in b. S holds
    the classes whose share is above the least share of the label, so that smoothed labels have the
    same targets as plain ones; a label that is equal for all classes has all of them. With one-hot labels this is
    DKD exactly.

    Source: Zhao et al. (2022), https://arxiv.org/abs/2203.08679; alpha = 1, beta = 8, T = 4 and the
    labels' weight 1 of the authors' code for CIFAR-100. There the term's weight rises from 0 to 1 over the first 20 of
    240 epochs: ``weight={"start": 0, "end": 1, "at": 0.083}``. For ImageNet it has beta = 0.5 and T = 1.
    Differs from source: mixed labels, which it does not have; the target is left out of q, not pushed down by 1000;
    the rise is no default, and goes step by step.

    Args:
        student: logits [B, K].
        teacher: logits [B, K], detached.
        labels: int64 [B], or soft [B, K].
        target: alpha, weight of the targets against the rest.
        others: beta, weight of the classes among the rest.
        temperature: T > 0, dimensionless.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, or a number is out of range.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("target", target, "not negative")
    check_limit("others", others, "not negative")
    check_limit("temperature", temperature, "temperature")
    targets = target_set(labels, student.shape[1])
    # Where nothing is left beside the targets, the rest is given all classes, and its two terms are dropped.
    rest = ~targets | targets.all(1, keepdim=True)
    some = ~targets.all(1)
    ours, theirs = (functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    our_mass, their_mass = (_within(log_probabilities, rest).logsumexp(1) for log_probabilities in (ours, theirs))
    apart = torch.where(targets, theirs.exp() * (theirs - ours), 0.0).sum(1)
    apart = apart + torch.where(some, their_mass.exp() * (their_mass - our_mass), 0.0)
    # A class outside the rest has the logarithm -inf in both: 0 in both, it adds nothing and no NaN.
    ours, theirs = (
        torch.where(rest, functional.log_softmax(_within(log_probabilities, rest), dim=1), 0.0)
        for log_probabilities in (ours, theirs)
    )
    among = torch.where(some, divergence(theirs, ours), 0.0)
    return temperature**2 * (target * apart + others * among)


def target_set(labels: Tensor, num_classes: int) -> Tensor:
    """Returns a mask of each label's classes, bool [B, K].

    Args:
        labels: int64 [B], or soft [B, K]: those above the least share, or all where all are alike.
        num_classes: K.
    """
    if labels.ndim == 1:
        return functional.one_hot(labels, num_classes).bool()
    above = labels > labels.amin(1, keepdim=True)
    return above | ~above.any(1, keepdim=True)


def _within(log_probabilities: Tensor, kept: Tensor) -> Tensor:
    return log_probabilities.masked_fill(~kept, -torch.inf)
