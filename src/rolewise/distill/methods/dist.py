"""DIST: the student's probabilities correlate with the teacher's, over the classes and over the batch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.logits import standardised


@method(
    reads="logits",
    mixed_labels="sound",
    least_classes=3,
    limits={"temperature": "temperature"},
    parts=("inter", "intra"),
)
def dist_loss(
    student: Tensor, teacher: Tensor, *, inter: float = 1.0, intra: float = 1.0, temperature: float = 1.0
) -> Tensor:
    r"""One minus the correlation of the class probabilities, of each example and of each class over the batch.

    .. math:: \ell_b = \tau^2 \Big(\beta \, \big(1 - \rho(p^s_{b \cdot}, p^t_{b \cdot})\big)
        + \gamma \, \frac{B}{K} \sum_c \tfrac{1}{2} \big(u^s_{bc} - u^t_{bc}\big)^2\Big)

    with p = softmax(z / tau), rho the correlation of Pearson, and u a class's column of p, brought to mean zero and
    unit length over the batch. Since 1 - rho is half the squared distance of such columns, the mean over the batch is
    beta times the mean of 1 - rho over examples and gamma times that over classes. A relation is learned, not a match:
    a student may be less sure than a far stronger teacher.

    Source: Huang et al. (2022), https://arxiv.org/abs/2205.10536; the weights and the temperature
    1 of the authors' code.
    Differs from source: given for each example. What does not vary has a correlation of 0 there, whose loss is 1; here
    its column is zero, which costs 1/2 against one that varies and nothing against one that does not. A batch of one
    has no second part.

    Args:
        student: logits [B, K], K at least 2.
        teacher: logits [B, K], detached.
        inter: beta, weight of the relation between classes.
        intra: gamma, weight of the relation between examples within a class.
        temperature: tau > 0, dimensionless.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the shapes differ, there are fewer than two classes, or a number is out of range.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("inter", inter, "not negative")
    check_limit("intra", intra, "not negative")
    check_limit("temperature", temperature, "temperature")
    num, num_classes = student.shape
    ours, theirs = (functional.softmax(logits / temperature, dim=1) for logits in (student, teacher))
    total = inter * apart(ours, theirs).sum(1)
    if num > 1:
        total = total + intra * num / num_classes * apart(ours.T, theirs.T).sum(0)
    return temperature**2 * total


def apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """Returns [N, M] whose rows sum to 1 minus the correlation of those of two [N, M]."""
    first, second = (standardised(some, centred=True) for some in (ours, theirs))
    return (first - second).square() / (2 * (ours.shape[1] - 1))
