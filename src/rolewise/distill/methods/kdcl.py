"""Collaborative learning: students of any size learn from one target that is made of all of them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.methods.ca_mkd import label_costs
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all
from rolewise.distill.term import Shapes, TaughtBy, Term

#: Steps of the convex combination; the error falls with their number.
_STEPS = 200


@method(reads="logits", mixed_labels="unsound", alone=True, weight=1.0, limits={"temperature": "temperature"})
class KDCL(Term):
    r"""Divergence of a student's softened class probabilities from a target made of its own and its peers' logits.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\mathrm{softmax}(h_b / T) \,\|\, \mathrm{softmax}(s_b / T))

    with h, without gradient, by ``target``: ``naive``, the logits of the network with the least cross-entropy of the
    example; ``linear``, the convex combination of all logits with the least; ``minimum``, the least of each class after
    every network's logits were shifted so that the label's is 0. It is listed once for each student.

    Source: Guo et al. (2020), section 3, https://openaccess.thecvf.com/content_CVPR_2020/html/Guo_Online_Knowledge_Distillation_via_Collaborative_Learning_CVPR_2020_paper.html,
    KDCL-Naive, -Linear and -MinLogit, which have no published code.
    Differs from source: the combination is found by 200 steps of exponentiated gradients for each example; weights by a
    held-out set (KDCL-General) are not there.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        target: ``naive``, ``linear`` or ``minimum``.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    of_examples = True
    targets = "labels"
    needs_example = False

    def __init__(
        self, shapes: Shapes, *, temperature: float = 2.0, target: Literal["naive", "linear", "minimum"] = "minimum"
    ) -> None:
        super().__init__()
        self.temperature, self.target = temperature, target

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        everyone = torch.cat([rows.logits.detach()[None], wanted])
        target = self.joined(everyone, batch.targets)[None]
        return rows.by_example(divergences(rows.logits, target, self.temperature)[0], len(student.first))

    @torch.no_grad()
    def joined(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the target's logits [B, K].

        Args:
            logits: [M, B, K] of all networks.
            labels: int64 [B].
        """
        if self.target == "minimum":
            own = logits.gather(2, labels[None, :, None].expand(len(logits), -1, 1))
            return (logits - own).amin(0)
        if self.target == "naive":
            best = label_costs(logits, labels).argmin(0)
            return logits[best, torch.arange(len(best), device=best.device)]
        return torch.einsum("mb,mbk->bk", convex_of_least(logits, labels), logits)


def convex_of_least(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the convex weights [M, B] of each example whose combination of logits has the least cross-entropy.

    Args:
        logits: [M, B, K].
        labels: int64 [B].
    """
    truth = functional.one_hot(labels, logits.shape[2]).to(logits)
    scores = torch.zeros(logits.shape[:2], dtype=logits.dtype, device=logits.device)
    # The curvature along the simplex is at most the squared distance of the logits: a step of its inverse descends.
    spread = (logits.amax(0) - logits.amin(0)).square().amax(1).clamp_min(1e-12)
    rate = 4 / spread
    for _ in range(_STEPS):
        mixed = torch.einsum("mb,mbk->bk", scores.softmax(0), logits)
        slopes = torch.einsum("bk,mbk->mb", mixed.softmax(1) - truth, logits)
        scores = scores - rate * slopes
    return scores.softmax(0)
