"""Be your own teacher: classifiers behind a network's earlier stages learn from its last one, and it through them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.exits import Exit
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, TaughtBy, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="features",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4", "penultimate"),
    weight=1.0,
    limits={"outputs": "fraction", "temperature": "temperature", "features": "not negative"},
)
class BYOT(Term):
    r"""Exits behind earlier stages, which learn from the labels, and from the outputs and the feature of the last.

    .. math:: \ell_b = \sum_i (1 - \alpha) \, \mathrm{CE}(z_{ib}, y_b) + \alpha \, T^2 \, \mathrm{KL}(p_b \,\|\, q_{ib})
        + \beta \sum_d (f_{ibd} - f_{bd})^2

    with p = softmax(s / T), q_i = softmax(z_i / T), z_i the logits of exit i and f_i the vector that they are of, s the
    network's logits and f its last feature, both without gradient. The labels' own term is that of the network's own
    head: ``label_weight: 0.9``. An exit has a block of separable convolutions for each later stage, and is dropped, or
    deployed as a smaller network (`rolewise.distill.exits.early_exit`).

    Source: Zhang et al. (2019), section 3, https://arxiv.org/abs/1905.08094, by an unofficial code: alpha = 0.1, T = 3.
    Differs from source: the squared differences of the features are those of all entries, where the code leaves out
    those that are not positive in either; beta is 1e-6 there, of a sum over 128 images.

    Args:
        shapes: of the stages' maps [B, C, H, W], then of the last feature [B, D]; ``classes`` is K.
        outputs: alpha, in [0, 1].
        temperature: T > 0, dimensionless.
        features: beta, at least 0.

    Raises:
        InputError: there is no earlier stage, or a feature is none of these.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    targets = "labels"
    reads_outputs = True

    def __init__(
        self, shapes: Shapes, *, outputs: float = 0.1, temperature: float = 3.0, features: float = 1e-4
    ) -> None:
        super().__init__()
        *maps, last = shapes.student
        if len(last) != 2 or shapes.classes is None or not maps:
            got = [list(shape) for shape in shapes.student]
            raise InputError(f'"byot" must tap stages and then the last feature [B, D] of a classifier, got {got}')
        # Behind the last stage the network's own head stands: there the exit would be a second one.
        own = len(maps) > 1 and maps[-1][1] == last[1]
        self.exits = nn.ModuleList(
            Exit(maps[number:], last[1], shapes.classes) for number in range(len(maps) - (1 if own else 0))
        )
        self.outputs, self.temperature, self.features = outputs, temperature, features

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        wanted = (teacher.logits / self.temperature).log_softmax(1)
        last = at_least_float32(teacher.features[self.pairs[-1][1]])
        labels = batch.targets.to(wanted.dtype) if batch.targets.is_floating_point() else batch.targets
        losses = []
        for (path, _), branch in zip(self.pairs, self.exits, strict=False):
            feature = student.features[path]
            logits, vector = map(at_least_float32, branch(feature.to(next(branch.parameters()).dtype)))
            hard = functional.cross_entropy(logits, labels, reduction="none")
            soft = self.temperature**2 * divergence(wanted, (logits / self.temperature).log_softmax(1))
            apart = (vector - last).square().sum(1)
            losses.append((1 - self.outputs) * hard + self.outputs * soft + self.features * apart)
        return torch.stack(losses).sum(0)
