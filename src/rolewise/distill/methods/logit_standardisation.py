"""Logit standardisation: the divergence of logits that are brought to mean zero and one standard deviation."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence
from rolewise.logits import standardised


def logit_scale(*, temperature: float = 2.0, **_: object) -> float:
    """Returns the multiplier of the rescaled logits that are learned."""
    return 1 / temperature


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    least_classes=3,
    weight=9.0,
    limits={"temperature": "temperature"},
    logit_scale=logit_scale,
)
def logit_standardisation_loss(student: Tensor, teacher: Tensor, *, temperature: float = 2.0) -> Tensor:
    r"""Divergence of the student's standardised and softened logits from the teacher's.

    .. math:: \ell_b = \tau^2 \, \mathrm{KL}\Big(\mathrm{softmax}\frac{Z(z^t_b)}{\tau} \,\Big\|\,
        \mathrm{softmax}\frac{Z(z^s_b)}{\tau}\Big), \quad Z(z) = \frac{z - \bar z}{\sigma(z)}

    It is the same for a z + b as for z (a > 0): the student need not match the teacher's range of logits, and learns
    no scale from it. At base temperature 1 it is the teacher's term of `mixstd`.

    Source: Sun et al. (2024), https://arxiv.org/abs/2403.01427; base temperature 2, weight 9 (times tau^2) and 0.1 for
    the labels' cross-entropy of raw logits as in the authors' code and its configs for CIFAR-100.
    Differs from source: no 1e-7 is added to the deviation, which divides by K - 1; logits that are constant up to
    rounding are divided by 1.

    Args:
        student: logits [B, K], K at least 2.
        teacher: logits [B, K], detached.
        temperature: tau > 0, the base temperature, dimensionless.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, there are fewer than two classes, or temperature is not positive.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_limit("temperature", temperature, "temperature")
    ours, theirs = (
        functional.log_softmax(standardised(logits, multiplier=1 / temperature, centred=True), dim=1)
        for logits in (student, teacher)
    )
    return temperature**2 * divergence(theirs, ours)
