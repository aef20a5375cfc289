"""Agree to disagree: several teachers, weighted by the shortest combination of their gradients."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.convex_weights import shortest_weights
from rolewise.distill.method_registry import method
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all
from rolewise.distill.term import Shapes, TaughtBy, Term


@method(
    reads="logits", mixed_labels="sound", weight=0.9, limits={"temperature": "temperature", "tolerance": "positive"}
)
class AEKD(Term):
    r"""Convex sum of the divergences from several teachers whose gradient by the student's logits is shortest.

    .. math:: \ell_b = \sum_k w_k \, T^2 \, \mathrm{KL}(p_{kb} \,\|\, q_b), \quad
        w = \arg\min_w \Big\| \sum_k w_k \, T (q - p_k) \Big\|^2, \quad \sum_k w_k = 1, \; 0 \le w_k \le C

    with p_k = softmax(t_k / T) and q = softmax(s / T) over the whole batch. The gradient of each divergence is known,
    so that there is no backward pass but the step's own. A bound C below 1 keeps a teacher that contradicts all others
    from deciding; C = 1 is the multiple-gradient descent of the paper without that tolerance.

    Source: Du et al. (2020), section 3.2, https://proceedings.neurips.cc/paper/2020/hash/91c77393975889bd08f301c9e13a44b7-Abstract.html,
    on logits; C = 0.6 of the authors' code.
    Differs from source: its version on hints is not there; the code may scale the gradients first, which is not done.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        tolerance: C > 0; less than 1 / M counts as that, equal weights.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    needs_example = False

    def __init__(self, shapes: Shapes, *, temperature: float = 4.0, tolerance: float = 0.6) -> None:
        super().__init__()
        self.temperature, self.tolerance = temperature, tolerance

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        losses = divergences(rows.logits, wanted, self.temperature)
        shares = self.shares(rows.logits, wanted, rows.weight).to(losses)
        return rows.by_example((shares[:, None] * losses).sum(0), len(student.first))

    @torch.no_grad()
    def shares(self, predicted: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
        """Returns the weights [M] of the teachers.

        Args:
            predicted: logits [R, K] of the student.
            wanted: logits [M, R, K].
            weight: [R] of the rows, or None for 1 each.
        """
        gradients = (predicted / self.temperature).softmax(-1) - (wanted / self.temperature).softmax(-1)
        if weight is not None:
            gradients = torch.where(weight[:, None] > 0, gradients * weight[:, None], 0.0)
        flat = gradients.flatten(1).double()
        # A common factor of all gradients changes no weight: at unit mean length products stay in range.
        products = flat @ flat.T
        scale = products.diagonal().mean()
        return shortest_weights(products / scale if scale > 0 else products, self.tolerance)
