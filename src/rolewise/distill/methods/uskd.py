"""USKD: a student without a teacher learns a target that it makes itself, and a ranking of the other classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import columns, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through


@method(
    reads="stages",
    name="uskd",
    mixed_labels="unsound",
    taps=("stage2",),
    weight=1.0,
    parts=("target", "others", "weak"),
)
class USKD(Term):
    r"""Cross-entropies with the student's own smoothed target and with Zipf's law over the ranks of other classes.

    .. math:: \ell_b = -\alpha \big(1 + p_{by}^2 - \overline{p_y^2}\big) \log p_{by} - \beta \sum_{k \ne y} z_{bk} \log
        \frac{p_{bk}}{1 - p_{by}} + \mu \, \mathrm{CE}(w_b, 0.9 \, y_b + 0.1 / K), \quad z_{bk} \propto
        \frac{1}{\mathrm{rank}_k}

    with p the student's probabilities, w those of a weak classifier that is learned on an early feature, and ranks by
    the sum of both networks' shares among the other classes. Targets get no gradient; there is no teacher.

    Source: Yang, Zeng, Li, Zhang, Yuan, Li (2023), section 3.2, https://arxiv.org/abs/2303.13005; weights of the
    authors' code for ImageNet, which has the labels beside them.
    Differs from source: ranks are made of probabilities for both parts, where the code adds a log-probability to one;
    mixed labels are refused.

    Args:
        shapes: of the early feature: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D].
        target: alpha, weight of the target.
        others: beta, weight of the other classes.
        weak: mu, weight of the weak classifier's cross-entropy.

    Raises:
        InputError: the student's outputs are no logits [B, K].
    """

    targets, reads_outputs, taps_student_alone, taught_by = "labels", True, True, "itself"

    def __init__(self, shapes: Shapes, *, target: float = 1.0, others: float = 0.1, weak: float = 0.005) -> None:
        super().__init__()
        self.target, self.others, self.weak = target, others, weak
        self.classifier = nn.Linear(width_of(shapes.student[0]), shapes.classes or 1)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        logits, labels = student.logits, batch.targets
        check_same_shape(logits, logits, "logits [B, K]", 2)
        weak = through(self.classifier, columns(self.tapped(student)[0]).mean(2))
        own = logits.log_softmax(1)
        chosen = functional.one_hot(labels, logits.shape[1]).bool()
        squares = own.detach().exp()[chosen].square()
        sure = -(1 + squares - squares.mean()) * own[chosen]
        # The other classes' probabilities at the sum 1; the target's place is left out of both factors.
        shares = [part.masked_fill(chosen, -torch.inf).softmax(1) for part in (logits.detach(), weak.detach())]
        ranks = (shares[0] + shares[1]).masked_fill(chosen, -1.0).argsort(1, descending=True).argsort(1) + 1
        law = (1.0 / ranks.to(own)).masked_fill(chosen, 0.0)
        law = law / law.sum(1, keepdim=True).clamp_min(1e-12)
        others = logits.masked_fill(chosen, -torch.inf).log_softmax(1).masked_fill(chosen, 0.0)
        smooth = functional.cross_entropy(weak, labels, label_smoothing=0.1, reduction="none")
        return self.target * sure - self.others * (law * others).sum(1) + self.weak * smooth
