"""Targets that hold one part of a teacher's knowledge each: smoothing, its confidence, its relations of classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Soft targets [B, K] of a teacher's logits [B, K] and labels [B].
Targets = Callable[[Tensor, Tensor], Tensor]


def smoothed_labels(share: float) -> Targets:
    """Returns the targets of label smoothing, which know nothing of the teacher.

    Args:
        share: part that is spread over all classes.
    """

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        classes = teacher.shape[1]
        return (1 - share) * F.one_hot(labels, classes).to(teacher.dtype) + share / classes

    return targets


def teacher_outputs(temperature: float) -> Targets:
    """Returns the teacher's whole outputs, as in plain distillation."""

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        return F.softmax(teacher / temperature, dim=1)

    return targets


def confidence_alone(temperature: float) -> Targets:
    r"""Returns the teacher's confidence in the label, the rest spread evenly (KD-pt).

    .. math:: \rho_t = p_t, \quad \rho_i = (1 - p_t) / (K - 1)

    Source: Tang et al. (2020), as recalled.

    Args:
        temperature: of the teacher's outputs.
    """

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        classes = teacher.shape[1]
        own = F.softmax(teacher / temperature, dim=1).gather(1, labels[:, None])
        known = F.one_hot(labels, classes).to(teacher.dtype)
        return known * own + (1 - known) * (1 - own) / (classes - 1)

    return targets


def relations_alone(rows: Tensor, power: float, spread: float) -> Targets:
    r"""Returns the relations of classes in the teacher's last layer, the same for all examples of a class (KD-sim).

    .. math:: \rho_i \propto \exp \big( \max(0, \cos(w_i, w_t))^\alpha / \beta \big)

    Source: Tang et al. (2020), as recalled.

    Args:
        rows: [K, F], the weights of the teacher's last layer, a row for each class.
        power: alpha.
        spread: beta; the lower, the more the label's own class has.
    """
    unit = F.normalize(rows, dim=1)
    table = F.softmax((unit @ unit.T).clamp(0, 1) ** power / spread, dim=1)

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        return table.to(teacher)[labels]

    return targets


def both_alone(first: Targets, second: Targets) -> Targets:
    """Returns the mean of two kinds of targets (KD-pt+sim)."""

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        return (first(teacher, labels) + second(teacher, labels)) / 2

    return targets


def largest_outputs(count: int, temperature: float) -> Targets:
    """Returns the teacher's largest probabilities, with what is left spread evenly over the other classes (KD-topk).

    Args:
        count: number of classes that keep their probability, below K.
        temperature: of the teacher's outputs.
    """

    def targets(teacher: Tensor, labels: Tensor) -> Tensor:
        outputs = F.softmax(teacher / temperature, dim=1)
        values, places = outputs.topk(count, dim=1)
        left = (1 - values.sum(dim=1, keepdim=True)) / (outputs.shape[1] - count)
        return left.expand_as(outputs).clone().scatter(1, places, values)

    return targets


def distillation_of(targets: Targets, temperature: float, weight: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    r"""Returns the loss [B] of a student that learns from targets: :math:`\lambda T^2 H(\tilde p, q_T)`.

    Args:
        targets: of the teacher's logits and the labels.
        temperature: T, of the student's outputs.
        weight: lambda.
    """

    def soft_targets_loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        wanted = targets(teacher_logits, labels)
        return -weight * temperature**2 * (wanted * F.log_softmax(student_logits / temperature, dim=1)).sum(dim=1)

    return soft_targets_loss


def gradient_ratio(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, share: float) -> Tensor:
    r"""Returns the factor by which distillation scales the labels' gradient on each label's logit, at temperature 1.

    .. math:: (1 - \lambda) + \lambda (p_t - q_t) / (1 - q_t)

    Source: Tang et al. (2020), as recalled; the identity is exact.

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K].
        labels: [B].
        share: lambda, weight of distillation; labels have the rest.
    """
    teacher, student = (
        F.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0] for logits in (teacher_logits, student_logits)
    )
    return (1 - share) + share * (teacher - student) / (1 - student)


@torch.no_grad()
def block_structure(logits: Tensor, labels: Tensor, groups: Tensor) -> float:
    """Returns the likeness of the logits of classes of one group, less that of classes of different groups.

    Args:
        logits: [N, K].
        labels: [N].
        groups: [K], the group of each class.

    Returns:
        The mean cosine between mean logits of classes of one group, less that of classes of different ones. The means'
        own label is left out of each pair, since it is high whatever is learned.
    """
    classes = len(groups)
    means = torch.stack([logits[labels == label].mean(dim=0) for label in range(classes)])
    means = means - means.mean(dim=0)
    within: list[float] = []
    across: list[float] = []
    for first in range(classes):
        for second in range(first):
            kept = torch.ones(classes, dtype=torch.bool)
            kept[[first, second]] = False
            cosine = float(F.cosine_similarity(means[first, kept], means[second, kept], dim=0))
            (within if groups[first] == groups[second] else across).append(cosine)
    return sum(within) / len(within) - sum(across) / len(across)
