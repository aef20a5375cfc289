"""Similarity-preserving distillation: which images of a batch look alike to the teacher look alike to the student."""

from __future__ import annotations

from torch import Tensor

from rolewise.distill.checks import check_rows
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import mean_square, unit


@method(reads="features", mixed_labels="sound", taps=("last_stage",), weight=3000.0)
def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared difference of the batch's similarities.

    .. math:: \ell_i = \frac{1}{B} \Big\lVert \frac{G^s_i}{\lVert G^s_i \rVert}
        - \frac{G^t_i}{\lVert G^t_i \rVert} \Big\rVert^2, \quad G_{ij} = \langle F_i, F_j \rangle

    with F_i the flattened feature of example i, and G_i the row of its similarities to all examples.

    Source: Tung and Mori (2019), https://arxiv.org/abs/1907.09682; weight 3000 of RepDistiller, whose
    code its authors verified.
    Differs from source: given for each example, whose mean over the batch is the source's. torchdistill 1.1.5 brings
    rows to the sum 1 of absolute values instead of unit length, and gives other figures.

    Args:
        student: [B, ...]: maps, tokens or vectors.
        teacher: [B, ...], detached.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the batches differ in size.
    """
    check_rows(student, teacher)
    of_student, of_teacher = (unit(_gram(features.flatten(1))) for features in (student, teacher))
    return mean_square(of_student, of_teacher)


def _gram(features: Tensor) -> Tensor:
    return features @ features.T
