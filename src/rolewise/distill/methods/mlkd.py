"""MLKD: logits are aligned at several temperatures, by example, by batch and by class."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape, check_switch
from rolewise.distill.method_registry import method
from rolewise.distill.mixed import mixed_logits
from rolewise.distill.term import Shapes, Term
from rolewise.distill.vectors import divergence

#: At which the probabilities are compared, in the authors' code.
TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


@method(
    reads="logits",
    name="mlkd",
    mixed_labels="sound",
    least_classes=3,
    weight=1.0,
    parts=("label_share", "teacher_share"),
)
class MLKD(Term):
    r"""Divergences of probabilities, and squared differences of their products over examples and over classes.

    .. math:: \ell_b = \omega \sum_T \Big( T^2 m_b \mathrm{KL}(p^t_b \| p^s_b) + m_b \big\lVert (P^t P^{t\top} -
        P^s P^{s\top})_b \big\rVert^2 + \frac{1}{K} \sum_k n_k \big\lVert (P^{t\top} P^t - P^{s\top} P^s)_k
        \big\rVert^2 \Big)

    at the temperatures 2 to 6. Where ``masked`` is set, m is 1 for the half of the examples of which the teacher is
    less sure, and n for the half of the classes that it gives less probability in the batch. Where batches have the
    view ``strong``, the divergences of that view, without a mask, and ``label_share`` times its cross-entropy are
    added; for the labels of the images themselves set the Distiller's ``label_weight`` to the same.

    Source: Jin, Wang, Lin (2023), Multi-level logit distillation, CVPR, section 3,
    https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html;
    weights 0.1 and 0.9, temperatures, medians and the strong view of the authors' code.
    Differs from source: masks leave examples out, where the code multiplies a mean by their fraction; the strong view
    is compared with itself at each temperature, where the code takes the other view at two of them.

    Args:
        shapes: of no features.
        label_share: weight of the cross-entropy of the strong view.
        teacher_share: omega, weight of all that the teacher teaches.
        masked: whether the surer half of examples and the likelier half of classes are left out.

    Raises:
        InputError: the logits are not [B, K] of the same classes.
    """

    of_examples = True
    targets, views, needs_example = "labels", ("strong",), False

    def __init__(
        self, shapes: Shapes, *, label_share: float = 0.1, teacher_share: float = 0.9, masked: bool = True
    ) -> None:
        super().__init__()
        check_switch("masked", masked)
        self.label_share, self.teacher_share, self.masked = label_share, teacher_share, masked

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        loss = torch.stack(list(self._levels(student.logits, teacher.logits, batch))).sum(0)
        if "strong" not in student.views:
            return self.teacher_share * loss
        own, aim = student.views["strong"].logits, teacher.views["strong"].logits
        for temperature in TEMPERATURES:
            loss = loss + _divergence(own, aim, temperature)
        strong = functional.cross_entropy(own, batch.targets, reduction="none")
        return self.teacher_share * loss + self.label_share * strong

    def _levels(self, own: Tensor, aim: Tensor, batch: Batch) -> Iterator[Tensor]:
        masks = None
        for temperature in TEMPERATURES:
            wanted = aim if batch.mixture is None else mixed_logits(batch.mixture, aim, temperature)
            check_same_shape(own, wanted, "logits [B, K]", 2)
            if masks is None or wanted is not aim:
                masks = self._masks(wanted)
            kept, classes = masks
            first, second = ((logits / temperature).softmax(1) for logits in (own, wanted))
            yield kept * _divergence(own, wanted, temperature)
            yield kept * (second @ second.T - first @ first.T).square().sum(1)
            yield (classes * (second.T @ second - first.T @ first).square().sum(1)).mean().expand(len(own))

    def _masks(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the examples [B] and classes [K] that count, as 1."""
        if not self.masked:
            return wanted.new_ones(len(wanted)), wanted.new_ones(wanted.shape[1])
        sure = wanted.softmax(1)
        return _lower_half(sure.amax(1)), _lower_half(sure.sum(0))


def _divergence(own: Tensor, aim: Tensor, temperature: float) -> Tensor:
    target, predicted = ((logits / temperature).log_softmax(1) for logits in (aim, own))
    return temperature**2 * divergence(target, predicted)


def _lower_half(values: Tensor) -> Tensor:
    """Returns 1 where a value [N] is at most the median, and 0 elsewhere."""
    return (values <= values.quantile(0.5)).to(values)
