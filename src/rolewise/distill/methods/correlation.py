"""Correlation congruence: the batch's examples are as near to one another as in the teacher, under a kernel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rolewise.distill.checks import check_limit, check_rows
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import mean_square, unit


@method(reads="features", mixed_labels="sound", taps=("penultimate",), limits={"gamma": "positive", "order": "few"})
def correlation_loss(student: Tensor, teacher: Tensor, *, gamma: float = 0.4, order: int = 2) -> Tensor:
    r"""Squared difference of the Gaussian kernel between examples, expanded to a few terms.

    .. math:: C_{ij} = e^{-2\gamma} \sum_{p=0}^{P} \frac{(2\gamma)^p}{p!} \langle f_i, f_j \rangle^p
        \approx e^{-\gamma \lVert f_i - f_j \rVert^2}, \quad
        \ell_i = \frac{1}{B} \sum_j \big(C^s_{ij} - C^t_{ij}\big)^2

    with f_i the example's feature at unit length, for which alone the expansion is that of the kernel.

    Source: Peng et al. (2019), https://arxiv.org/abs/1904.01802; gamma 0.4 and order 2 of torchdistill's
    reproduction.
    Differs from source: given for each example; squared, as in the paper's equation, where torchdistill takes the root
    of the sum, F / B^2 for a difference of Frobenius norm F, whose gradient does not fall as the kernels come together:
    the mean over the batch here is F^2 / B^2, F times that; features at unit length as
    they come, where the source first learns a map of each network's to a common width, which the kernel does not need.
    The weight 1 is no published one: RepDistiller's 0.02 belongs to another loss of that name.

    Args:
        student: [B, D] (maps and tokens are flattened).
        teacher: [B, D'], detached.
        gamma: rate at which the kernel falls with the squared distance.
        order: P, the highest power.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the batches differ in size, or a setting is out of range.
    """
    check_limit("gamma", gamma, "positive")
    check_limit("order", order, "few")
    check_rows(student, teacher)
    of_student, of_teacher = (_kernel(features.flatten(1), gamma, order) for features in (student, teacher))
    return mean_square(of_student, of_teacher)


def _kernel(features: Tensor, gamma: float, order: int) -> Tensor:
    directions = unit(features)
    cosine = directions @ directions.T
    total = torch.ones_like(cosine)
    for power in range(1, order + 1):
        total = total + (2 * gamma) ** power / math.factorial(power) * cosine**power
    return math.exp(-2 * gamma) * total
