"""Peer collaborative learning: branches learn from a classifier over all of them, and from one another's averages."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.branches import costs_of_branches, sigmoid_ramp
from rolewise.distill.method_registry import method
from rolewise.distill.methods.one import number_of_branches
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import divergence


@method(
    reads="features",
    mixed_labels="sound",
    taps=("branch_features", "branch_logits"),
    weight=1.0,
    limits={"temperature": "temperature", "rise": "not negative"},
)
class PCL(Term):
    r"""Cross-entropies of branches and of their joint classifier, divergences from that one and from averaged peers.

    .. math:: \ell_b = \sum_{m > 1} \mathrm{CE}(z_{mb}, y_b) + \mathrm{CE}(e_b, y_b) + \rho \, T^2 \sum_m \Big(
        \mathrm{KL}(p(e_b) \,\|\, p(z_{mb})) + \frac{1}{M - 1} \sum_{j \ne m}
        \mathrm{KL}(p(a_{jb}) \,\|\, p(z_{mb})) \Big)

    with p(z) = softmax(z / T), e the logits of a linear classifier of the features of all M branches, without gradient
    where it teaches, and a the logits of the branches of the teacher: the moving average of the student,
    `rolewise.average_of`. rho is `rolewise.distill.branches.sigmoid_ramp`. The first branch has the labels' own term
    (``label_weight: 1``), and is what is evaluated and deployed.

    Source: Wu, Gong (2021), section 3, https://arxiv.org/abs/2006.04147; T = 3 and a decay of 0.999 of a reproduction,
    whose ramp of one epoch is not copied: 80, as in the works that it builds on.
    Differs from source: all branches see the same view of an example, where the source augments it for each.

    Args:
        shapes: of the branches' features [B, M, D] and logits [B, M, K].
        temperature: T > 0, dimensionless.
        rise: epochs until rho is 1; 0 for 1 throughout.

    Raises:
        InputError: the network has no branches.
    """

    targets = "labels"

    def __init__(self, shapes: Shapes, *, temperature: float = 3.0, rise: float = 80.0) -> None:
        super().__init__()
        number_of_branches("pcl", shapes)
        self.temperature, self.rise = temperature, rise
        self.joint = nn.Linear(math.prod(shapes.student[0][1:]), shapes.student[-1][2])

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        (features, _), (logits, average) = self.paired(student, teacher)
        joint = at_least_float32(through(self.joint, features.flatten(1)))
        own, others, sure = map(self._logs, (logits, average, joint.detach()))
        costs = costs_of_branches(logits, batch.targets)[:, 1:].sum(1)
        costs = costs + costs_of_branches(joint[:, None], batch.targets)[:, 0]
        number = logits.shape[1]
        apart = divergence(sure[:, None].expand_as(own), own).sum(1)
        # Row j, column m: from the average of branch j to branch m.
        between = divergence(others[:, :, None].expand(-1, -1, number, -1), own[:, None].expand(-1, number, -1, -1))
        apart = apart + (between.sum((1, 2)) - torch.diagonal(between, 0, 1, 2).sum(1)) / (number - 1)
        return costs + sigmoid_ramp(context.epoch, self.rise) * self.temperature**2 * apart

    def _logs(self, logits: Tensor) -> Tensor:
        return functional.log_softmax(logits / self.temperature, -1)
