"""Relational knowledge distillation: distances and angles between examples are those of the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_rows
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import EQUAL, unit


@method(reads="features", mixed_labels="sound", taps=("penultimate",), parts=("distance", "angle"))
def rkd_loss(
    student: Tensor, teacher: Tensor, *, distance: float = 25.0, angle: float = 50.0, normalise: bool = False
) -> Tensor:
    r"""Huber distance between the relations of the batch in the two networks.

    .. math:: \psi_{ij} = \frac{\lVert x_i - x_j \rVert}{\mu}, \quad
        \phi_{ijk} = \Big\langle \frac{x_i - x_j}{\lVert x_i - x_j \rVert},
        \frac{x_k - x_j}{\lVert x_k - x_j \rVert} \Big\rangle

    .. math:: \ell_j = \frac{25}{B} \sum_i h(\psi^s_{ij}, \psi^t_{ij})
        + \frac{50}{B^2} \sum_{i,k} h(\phi^s_{ijk}, \phi^t_{ijk})

    with h the Huber loss that turns from square to straight at 1, and mu the mean of the distances that are not zero.
    The direction from an example to an equal one (nearer than 1e-12) is zero.

    Source: Park et al. (2019), equations 5 to 10, https://arxiv.org/abs/1904.05068; weights of the authors' code.
    Differs from source: given for each example j; its mean over the batch is the authors' loss. With ``normalise``,
    ``distance=50``, ``angle=100`` and the taps ``logits`` it is the form of role-wise distillation's released code, but
    for that code's Huber loss, whose straight part came out 1/2 too high (`rolewise.distill.combinations.ii_kd`),
    and its mu, which counts each example's distance to itself, 1e-6, as one that is not zero: there the distances' part
    is 1 / (1 - 1/B)^2 times as large, 1.31 at a batch of 8 and 1.02 at 128, and the sum of both parts on random logits
    1.09 and 1.004 times.

    Args:
        student: [B, D] (maps and tokens are flattened).
        teacher: [B, D'], detached.
        distance: weight of the distances.
        angle: weight of the angles; memory grows with B^2 (B + D).
        normalise: whether each example's features are brought to unit length first.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the batches differ in size, or a weight is negative.
    """
    check_limit("distance", distance, "not negative")
    check_limit("angle", angle, "not negative")
    student, teacher = student.flatten(1), teacher.flatten(1)
    check_rows(student, teacher)
    if normalise:
        student, teacher = unit(student), unit(teacher)
    total = torch.zeros(len(student), dtype=student.dtype, device=student.device)
    ours, theirs = _differences(student), _differences(teacher)
    if distance:
        apart = functional.smooth_l1_loss(_distances(*ours[1:]), _distances(*theirs[1:]), reduction="none")
        total = total + distance * apart.mean(0)
    if angle:
        turned = functional.smooth_l1_loss(_angles(*ours), _angles(*theirs), reduction="none")
        total = total + angle * turned.mean((1, 2))
    return total


def _differences(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns differences [B, B, D] of all pairs, their lengths [B, B], and which pairs are not equal."""
    difference = features.unsqueeze(0) - features.unsqueeze(1)
    square = difference.square().sum(2)
    apart = ~(square <= EQUAL)  # NaN too, so that it shows in the loss
    # The root's gradient at zero is infinite: zeros are set aside before it, and put back by what uses the lengths.
    return difference, torch.where(apart, square, 1.0).sqrt(), apart


def _distances(lengths: Tensor, apart: Tensor) -> Tensor:
    lengths = lengths * apart
    return lengths / (lengths.sum() / apart.sum().clamp_min(1)).clamp_min(1e-12)


def _angles(difference: Tensor, lengths: Tensor, apart: Tensor) -> Tensor:
    # What is divided by infinity is zero, and so is its gradient: no second pass over all differences is needed.
    directions = difference / torch.where(apart, lengths, torch.inf).unsqueeze(2)
    return torch.bmm(directions, directions.transpose(1, 2))
