"""Entropy-based distillation: of several teachers, the surer of an example counts more."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all, shares_of_least
from rolewise.distill.term import Shapes, TaughtBy, Term


@method(reads="logits", mixed_labels="sound", alone=True, weight=0.9, limits={"temperature": "temperature"})
class EBKD(Term):
    r"""Mean of the divergences from several teachers, weighted by what each lacks of the entropy of all.

    .. math:: \ell_b = \sum_k w_{kb} \, T^2 \, \mathrm{KL}(p_{kb} \,\|\, q_b),
        \quad w_{kb} = \frac{1 - H_{kb} / \sum_j H_{jb}}{M - 1}

    with p = softmax(t / T), q = softmax(s / T), and H the entropy of a teacher's class probabilities at T = 1. Where
    all entropies are 0, teachers count alike.

    Source: Kwon, Na, Lee, Kim (2020), as in the released code of Zhang et al. (2022),
    https://arxiv.org/abs/2201.00007, for which ``form: code`` leaves the weights at the sum M - 1 and divides by M, so
    that a single teacher counts nothing.
    Differs from source: weights of sum 1, unless ``form`` is ``code``.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        form: ``normalised`` weights, or those of the ``code``.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    needs_example = False

    def __init__(
        self, shapes: Shapes, *, temperature: float = 4.0, form: Literal["normalised", "code"] = "normalised"
    ) -> None:
        super().__init__()
        self.temperature, self.form = temperature, form

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        logs, number = wanted.log_softmax(-1), len(wanted)
        shares = shares_of_least((logs.exp() * -logs).sum(-1).clamp_min(0))
        if self.form == "code":
            shares = shares * (number - 1) / number
        return rows.by_example((shares * divergences(rows.logits, wanted, self.temperature)).sum(0), len(student.first))
