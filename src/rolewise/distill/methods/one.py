"""On-the-fly native ensemble: the branches of a network learn from their own gated sum."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.branches import LABELS_OF_BRANCHES, costs_of_branches, sigmoid_ramp
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_norm_batch
from rolewise.distill.term import Shapes, TaughtBy, Term, through
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="features",
    mixed_labels="sound",
    taps=("shared", "branch_logits"),
    weight=1.0,
    limits={"temperature": "temperature", "rise": "not negative"},
    excludes=dict.fromkeys(("okddip", "pcl"), LABELS_OF_BRANCHES),
)
class ONE(Term):
    r"""Cross-entropies of the further branches and of the gated ensemble, and divergences from it to each branch.

    .. math:: \ell_b = \sum_{m > 1} \mathrm{CE}(z_{mb}, y_b) + \mathrm{CE}(e_b, y_b) + \rho \, T^2 \sum_m
        \mathrm{KL}(\mathrm{softmax}(e_b / T) \,\|\, \mathrm{softmax}(z_{mb} / T)), \quad e_b = \sum_m g_{mb} z_{mb}

    with z the logits of M branches and g the gate, softmax(relu(norm(linear(pooled feature of the trunk)))). In the
    divergences the ensemble has no gradient, and rho is `rolewise.distill.branches.sigmoid_ramp`. The first branch has
    the labels' own term (``label_weight: 1``); it is what is evaluated and deployed. The student is a network of
    branches (`rolewise.models.branched`).

    Source: Lan, Zhu, Gong (2018), section 3, https://arxiv.org/abs/1806.04606, and the authors' code: T = 3, 80 epochs.
    Differs from source: rho rises step by step, and not epoch by epoch.

    Args:
        shapes: of the trunk's map and of the branches' logits [B, M, K].
        temperature: T > 0, dimensionless.
        rise: epochs until rho is 1; 0 for 1 throughout.

    Raises:
        InputError: the network has no branches.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    targets = "labels"

    def __init__(self, shapes: Shapes, *, temperature: float = 3.0, rise: float = 80.0) -> None:
        super().__init__()
        self.temperature, self.rise = temperature, rise
        branches = number_of_branches("one", shapes)
        self.gate, self.norm = nn.Linear(shapes.student[0][1], branches), nn.BatchNorm1d(branches)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        shared, logits = (at_least_float32(student.features[path]) for path, _ in self.pairs)
        gate = through(self.gate, shared.flatten(2).mean(2))
        check_norm_batch(self, "one", gate)
        gates = through(self.norm, gate).relu().softmax(1)
        ensemble = (gates[:, :, None] * logits).sum(1)
        costs = costs_of_branches(logits, batch.targets)[:, 1:].sum(1)
        costs = costs + costs_of_branches(ensemble[:, None], batch.targets)[:, 0]
        wanted = (ensemble.detach() / self.temperature).log_softmax(1)[:, None].expand_as(logits)
        apart = divergence(wanted, functional.log_softmax(logits / self.temperature, 2)).sum(1)
        return costs + sigmoid_ramp(context.epoch, self.rise) * self.temperature**2 * apart


def number_of_branches(name: str, shapes: Shapes) -> int:
    """Returns the number of branches by the shape [B, M, K] of their logits, which are tapped last.

    Args:
        name: of the method, for the error.
        shapes: of its taps.

    Raises:
        InputError: that is no shape of branches' logits.
    """
    if not shapes.student or len(shapes.student[-1]) != 3 or shapes.student[-1][1] < 2:
        got = [list(shape) for shape in shapes.student]
        raise InputError(f'"{name}" must tap the logits [B, M, K] of branches last, got features of {got}')
    return int(shapes.student[-1][1])
