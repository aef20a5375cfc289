"""The networks of the multi-view theory, and their training by gradient descent on all examples at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rolewise.data.view_model import ViewData


def smoothed_relu(values: Tensor, power: int, knee: float) -> Tensor:
    r"""Returns a rectifier that rises as a power near zero.

    It is 0 below 0, :math:`z^q / (q \rho^{q-1})` up to rho, and :math:`z - (1 - 1/q) \rho` beyond.

    Source: Allen-Zhu and Li (2023), section 3.

    Args:
        values: z, any shape.
        power: q, at least 2.
        knee: rho, where the line begins.
    """
    low = values.clamp(0, knee) ** power / (power * knee ** (power - 1))
    return torch.where(values >= knee, values - (1 - 1 / power) * knee, low)


def logits_of(weights: Tensor, patches: Tensor, power: int, knee: float) -> Tensor:
    """Returns the logits [N, K] of a network: for each class, the sum over its neurons and all patches.

    Args:
        weights: [K, M, D], of M neurons for each class.
        patches: [N, P, D].
        power: of the rectifier.
        knee: of the rectifier.
    """
    classes, neurons, width = weights.shape
    found = smoothed_relu(patches @ weights.reshape(-1, width).T, power, knee)
    return found.sum(dim=1).reshape(-1, classes, neurons).sum(dim=2)


def initial_weights(classes: int, neurons: int, width: int, scale: float, draws: torch.Generator) -> Tensor:
    """Returns small random weights [K, M, D].

    Args:
        classes: K.
        neurons: M.
        width: D.
        scale: their standard deviation.
        draws: generator.
    """
    return scale * torch.randn(classes, neurons, width, generator=draws, dtype=torch.float64)


def train_network(
    weights: Tensor,
    data: ViewData,
    logits: Callable[[Tensor, Tensor], Tensor],
    *,
    teacher: Tensor | None = None,
    temperature: float,
    teacher_weight: float,
    steps: int,
    most_steps: int,
    least_accuracy: float,
    largest_rate: float,
    should_stop: Callable[[], None],
) -> Tensor:
    r"""Trains by gradient descent on all examples; each step is as long as a twentieth of the weights, at the most.

    The loss is cross-entropy, and with a teacher :math:`\alpha T^2 KL(p_t^T \| p_s^T)` beside it.

    Args:
        weights: the initial weights; they are left as they are.
        data: the training examples.
        logits: of weights and patches.
        teacher: the teacher's logits [N, K] on the examples; None to train on labels alone.
        temperature: T.
        teacher_weight: alpha.
        steps: least number of steps; from then on training ends as soon as ``least_accuracy`` is reached.
        most_steps: number of steps after which it ends all the same.
        least_accuracy: share of the training examples that are to be learned.
        largest_rate: the highest learning rate.
        should_stop: raises where training is to end early.
    """
    weights = weights.clone().requires_grad_()
    targets = None if teacher is None else F.softmax(teacher / temperature, dim=1)
    for step in range(most_steps):
        should_stop()
        found = logits(weights, data.patches)
        if step >= steps and float((found.argmax(dim=1) == data.labels).double().mean()) >= least_accuracy:
            break
        loss = F.cross_entropy(found, data.labels)
        if targets is not None:
            student = F.log_softmax(found / temperature, dim=1)
            loss = loss + teacher_weight * temperature**2 * F.kl_div(student, targets, reduction="batchmean")
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            norm = float(gradient.norm())
            rate = min(largest_rate, 0.05 * float(weights.norm()) / norm) if norm > 0 else 0.0
            weights -= rate * gradient
    return weights.detach()


def views_learned(weights: Tensor, features: Tensor, threshold: float) -> float:
    """Returns the number of views, of two, that a network has learned, as a mean over classes.

    Args:
        weights: [K, M, D].
        features: [K, 2, D], orthonormal.
        threshold: the least share of the class's stronger view that counts as learned.
    """
    strength = torch.einsum("kmd,kvd->kmv", weights, features).amax(dim=1).clamp(min=0)
    strongest = strength.amax(dim=1, keepdim=True)
    return float(((strength >= threshold * strongest) & (strongest > 0)).sum(dim=1).double().mean())
