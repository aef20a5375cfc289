"""Online distillation with diverse peers: branches learn from attended sums of one another, a leader from them all."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.branches import LABELS_OF_BRANCHES, costs_of_branches, sigmoid_ramp
from rolewise.distill.method_registry import method
from rolewise.distill.methods.one import number_of_branches
from rolewise.distill.term import Shapes, TaughtBy, Term, through
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="features",
    mixed_labels="sound",
    taps=("branch_features", "branch_logits"),
    weight=1.0,
    limits={"temperature": "temperature", "rise": "not negative"},
    excludes={"pcl": LABELS_OF_BRANCHES},
)
class OKDDip(Term):
    r"""Cross-entropies of peers, divergences from an attended sum to each of them, and from their mean to the leader.

    .. math:: \ell_b = \sum_{m > 1} \mathrm{CE}(z_{mb}, y_b) + \rho \, T^2 \Big( \sum_{m > 1}
        \mathrm{KL}(p(t_{mb}) \,\|\, p(z_{mb})) + \mathrm{KL}(p(\bar z_b) \,\|\, p(z_{1b})) \Big), \quad
        t_{mb} = \sum_{j > 1} a_{mjb} z_{jb}

    with p(z) = softmax(z / T), a = softmax over j of the products of learned queries and keys of the peers' features,
    an eighth as wide, and the mean over the peers m > 1. The first branch is the leader: it has the labels' own term
    (``label_weight: 1``), and is what is evaluated and deployed. rho is `rolewise.distill.branches.sigmoid_ramp`.

    Source: Chen, Mei, Wang, Feng, Chen (2020), section 3, https://arxiv.org/abs/1912.00350, in its form of branches;
    T = 3 and 80 epochs of the authors' code.
    Differs from source: logits that teach have no gradient, and the attention has one; ``form: code`` lets gradients
    through both, as the code does. rho rises step by step.

    Args:
        shapes: of the branches' features [B, M, D] and logits [B, M, K].
        temperature: T > 0, dimensionless.
        rise: epochs until rho is 1; 0 for 1 throughout.
        form: the ``paper``'s, or that of the ``code``.

    Raises:
        InputError: the network has fewer than three branches.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    targets = "labels"

    def __init__(
        self, shapes: Shapes, *, temperature: float = 3.0, rise: float = 80.0, form: Literal["paper", "code"] = "paper"
    ) -> None:
        super().__init__()
        if (branches := number_of_branches("okddip", shapes)) < 3:
            raise InputError(f'"okddip" must have a leader and at least two peers, got {branches} branches')
        self.temperature, self.rise, self.form = temperature, rise, form
        width = math.prod(shapes.student[0][2:])
        self.query, self.key = (nn.Linear(width, max(1, width // 8), bias=False) for _ in range(2))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        features, logits = (at_least_float32(student.features[path]) for path, _ in self.pairs)
        peers, vectors = logits[:, 1:], features[:, 1:].flatten(2)
        attention = (through(self.query, vectors) @ through(self.key, vectors).transpose(1, 2)).softmax(2)
        taught = peers if self.form == "code" else peers.detach()
        targets = attention @ taught
        own, leader = self._logs(peers), self._logs(logits[:, 0])
        apart = divergence(self._logs(targets), own).sum(1) + divergence(self._logs(taught.mean(1)), leader)
        costs = costs_of_branches(peers, batch.targets).sum(1)
        return costs + sigmoid_ramp(context.epoch, self.rise) * self.temperature**2 * apart

    def _logs(self, logits: Tensor) -> Tensor:
        return functional.log_softmax(logits / self.temperature, -1)
