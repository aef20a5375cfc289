"""Confidence-aware distillation from several teachers: who is nearer to an example's label counts more."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all, shares_of_least
from rolewise.distill.term import Shapes, TaughtBy, Term


@method(
    reads="logits", name="ca_mkd", mixed_labels="sound", alone=True, weight=1.0, limits={"temperature": "temperature"}
)
class CAMKD(Term):
    r"""Mean of the divergences from several teachers, weighted by each one's cross-entropy with the label.

    .. math:: \ell_b = \sum_k w_{kb} \, T^2 \, \mathrm{KL}(p_{kb} \,\|\, q_b),
        \quad w_{kb} = \frac{1}{M - 1} \Big( 1 - \frac{\exp c_{kb}}{\sum_j \exp c_{jb}} \Big)

    with p = softmax(t / T), q = softmax(s / T), and c the cross-entropy of a teacher with the label, which may be soft.

    Source: Zhang, Chen, Wang (2022), equations 3 to 5, https://arxiv.org/abs/2201.00007. ``form: code`` is their
    released code, which divides this by M once more.
    Differs from source: its term on features is not here, beside which the paper gives this one the weight 1; a single
    teacher has the weight 1, where the source divides by 0.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        form: the ``paper``'s, or that of the ``code``.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    of_examples = True
    needs_example = False
    targets = "labels"

    def __init__(self, shapes: Shapes, *, temperature: float = 4.0, form: Literal["paper", "code"] = "paper") -> None:
        super().__init__()
        self.temperature, self.form = temperature, form

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        losses = divergences(rows.logits, wanted, self.temperature)
        shares = shares_of_least(label_costs(wanted, batch.targets).softmax(0))
        if self.form == "code":
            shares = shares / len(wanted)
        return rows.by_example((shares * losses).sum(0), len(student.first))


def label_costs(wanted: Tensor, labels: Tensor) -> Tensor:
    """Returns the cross-entropy [M, B] of the logits of M networks [M, B, K] with labels, int64 [B] or soft [B, K]."""
    labels = labels.to(wanted.dtype) if labels.is_floating_point() else labels
    return torch.stack([functional.cross_entropy(logits, labels, reduction="none") for logits in wanted])
