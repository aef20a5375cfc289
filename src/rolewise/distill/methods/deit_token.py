"""Distillation through attention: a token of its own learns from the teacher, beside the class token."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.checks import check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.mixed import mixed_logits
from rolewise.distill.term import Shapes, Term
from rolewise.distill.vectors import divergence


@method(
    reads="features",
    name="deit_token",
    mixed_labels="sound",
    alone=True,
    taps=("token_logits",),
    weight=0.5,
    limits={"temperature": "temperature"},
)
class DeiTToken(Term):
    r"""Cross-entropy of the distillation token's class probabilities under the class that the teacher takes.

    .. math:: \ell_b = \mathrm{CE}(d_b, \arg\max_k t_{bk}) \quad \text{or} \quad
        T^2 \, \mathrm{KL}(\mathrm{softmax}(t_b / T) \,\|\, \mathrm{softmax}(d_b / T))

    with d the logits of the token, the first with ``target: hard`` and the second with ``soft``. The class token has
    the labels' own term (``label_weight: 0.5``). The student is a vision transformer with ``distilled: true``, whose
    logits are the mean of both heads when it is not trained.

    Source: Touvron et al. (2021), section 4, https://arxiv.org/abs/2012.12877, and its authors' code: hard, both
    weights 0.5.
    Differs from source: the soft loss is a sum over classes, where the code takes the mean, and so 1 / K of this.

    Args:
        shapes: of the token's logits [B, K].
        target: ``hard``, the teacher's class, also of a mixed image; or ``soft``, its probabilities.
        temperature: T > 0 of ``soft``, dimensionless.

    Raises:
        InputError: token and teacher have other classes.
    """

    taps_student_alone, reads_outputs, of_examples = True, True, True

    def __init__(self, shapes: Shapes, *, target: Literal["hard", "soft"] = "hard", temperature: float = 3.0) -> None:
        super().__init__()
        self.target, self.temperature = target, temperature

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        logits, wanted = at_least_float32(student.features[self.pairs[0][0]]), teacher.logits
        if batch.mixture is not None:
            wanted = mixed_logits(batch.mixture, wanted, self.temperature if self.target == "soft" else 1.0)
        check_same_shape(logits, wanted, "logits [B, K]", 2)
        if self.target == "hard":
            return functional.cross_entropy(logits, wanted.argmax(1), reduction="none")
        target, predicted = ((part / self.temperature).log_softmax(1) for part in (wanted, logits))
        return self.temperature**2 * divergence(target, predicted)
