"""Probabilistic knowledge transfer: each image's neighbours in the batch are those that it has in the teacher."""

from __future__ import annotations

from torch import Tensor

from rolewise.distill.checks import check_rows
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import unit

#: The least nearness of two examples.
EPSILON = 1e-7


@method(reads="features", mixed_labels="sound", taps=("penultimate",), weight=30000.0)
def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Divergence of the student's probabilities of being neighbours from the teacher's.

    .. math:: p_{ij} = \frac{1 + \cos(F_i, F_j)}{\sum_k \big(1 + \cos(F_i, F_k)\big)}, \quad
        \ell_i = \frac{1}{B} \sum_j p^t_{ij} \log \frac{p^t_{ij}}{p^s_{ij}}

    Source: Passalis and Tefas (2018) with the cosine kernel, https://arxiv.org/abs/1803.10837; the mean over all pairs,
    an image with itself among them, of the authors' code; weight 30000 of RepDistiller.
    Differs from source: given for each example, whose mean over the batch is that code's. There 1e-7 is added to
    lengths and within the logarithm; here half of 1 + cos is at least 1e-7, so that equal features are exactly the
    least. A feature that is zero has the cosine 0 with all, and no gradient.

    Args:
        student: [B, D] (maps and tokens are flattened).
        teacher: [B, D'], detached.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the batches differ in size.
    """
    check_rows(student, teacher)
    of_student, of_teacher = (_neighbours(features.flatten(1)) for features in (student, teacher))
    return (of_teacher * (of_teacher / of_student).log()).mean(1)


def _neighbours(features: Tensor) -> Tensor:
    directions = unit(features)
    nearness = ((1 + directions @ directions.T) / 2).clamp_min(EPSILON)
    return nearness / nearness.sum(1, keepdim=True)
