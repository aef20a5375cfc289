"""Distillation from an ensemble: the student imitates the mean of several teachers."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all
from rolewise.distill.term import Shapes, TaughtBy, Term

Average = Literal["probabilities", "logits", "losses"]


@method(
    reads="logits",
    name="ensemble_kd",
    mixed_labels="sound",
    alone=True,
    weight=0.9,
    limits={"temperature": "temperature"},
)
class EnsembleKD(Term):
    r"""Divergence of the student's softened class probabilities from the mean of all teachers'.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\bar p \,\|\, \mathrm{softmax}(s_b / T)), \quad
        \bar p = \frac{1}{M} \sum_k \mathrm{softmax}(t_{kb} / T)

    With ``average: logits`` the mean is taken of the M teachers' logits, and with ``losses`` (AVER) it is the mean of
    the divergences from each: that differs from the first by what does not depend on the student.

    Source: Hinton, Vinyals, Dean (2015), section 2, https://arxiv.org/abs/1503.02531, of ensembles; AVER as You et al.
    (2017) and the comparisons of Zhang et al. (2022, https://arxiv.org/abs/2201.00007) have it.
    Differs from source: none.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        average: terms of the mean: ``probabilities``, ``logits`` or ``losses``.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    needs_example = False

    def __init__(self, shapes: Shapes, *, temperature: float = 4.0, average: Average = "probabilities") -> None:
        super().__init__()
        self.temperature, self.average = temperature, average

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        if self.average == "logits":
            wanted = wanted.mean(0, keepdim=True)
        elif self.average == "probabilities":
            logs = (wanted / self.temperature).log_softmax(-1)
            wanted = self.temperature * (logs.logsumexp(0, keepdim=True) - math.log(len(wanted)))
        losses = divergences(rows.logits, wanted, self.temperature).mean(0)
        return rows.by_example(losses, len(student.first))
