"""The choice of unlabelled examples that networks are surest of, so many of each class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Confidence:
    """The classes that examples are taken for, and how surely.

    Args:
        score: [N], probability of the class.
        taken_for: int64 [N], the class.
    """

    score: Tensor
    taken_for: Tensor


def joint_confidence(teacher: Tensor, student: Tensor | None, share: float) -> Confidence:
    r"""Returns the classes of a mixture of the teacher's and the student's probabilities.

    .. math:: p = (1 - a) \, \mathrm{softmax}(z^t) + a \, \mathrm{softmax}(z^s), \quad c = \max_k p_k

    Source: a reconstruction of the dynamic instance selection of Tang et al. (2023).

    Args:
        teacher: logits [N, K].
        student: logits [N, K]; None where ``share`` is 0.
        share: a, the student's part, in [0, 1].
    """
    probabilities = F.softmax(teacher, dim=1)
    if student is not None and share:
        probabilities = (1 - share) * probabilities + share * F.softmax(student, dim=1)
    score, taken_for = probabilities.max(dim=1)
    return Confidence(score, taken_for)


def surest(confidence: Confidence, count: int, classes: int, *, quota: bool = True) -> Tensor:
    """Returns the examples with the highest scores.

    Args:
        confidence: of N examples.
        count: the number of examples to choose.
        classes: K.
        quota: choose at most ``count // classes`` of each class; where a class has fewer, all of it.

    Returns:
        int64, ascending places of the chosen examples.
    """
    order = confidence.score.argsort(descending=True, stable=True)
    if not quota:
        return order[:count].sort().values
    ranked = confidence.taken_for[order]
    chosen = [order[ranked == label][: count // classes] for label in range(classes)]
    return torch.cat(chosen).sort().values
