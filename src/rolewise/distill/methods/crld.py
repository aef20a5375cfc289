"""CRLD: two views of each image agree with the teacher within and across, as far as it is sure of them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="logits",
    name="crld",
    mixed_labels="sound",
    alone=True,
    least_classes=3,
    weight=1.0,
    limits={"temperature": "temperature", "sure": "fraction", "sure_of_strong": "fraction"},
    parts=("within", "across", "label_share"),
)
class CRLD(Term):
    r"""Divergences between networks within each of two views and across them, where the teacher is sure.

    .. math:: \ell_b = T^2 \omega \, 1_{\max p^t_{w} \ge \tau_w} \big(D(t_w, s_w) + D(t_s, s_s)\big) + T^2 \upsilon \,
        1_{\max p^t_{s} \ge \tau_s} \big(D(t_w, s_s) + D(t_s, s_w)\big) + \lambda \, \mathrm{CE}(s_s, y)

    with D(t, s) = KL(softmax(t / T) || softmax(s / T)), w the images as they are and s the view ``strong`` of the
    batch: ``distill.strong: randaugment`` in a config, ``rw.Batch(images, labels, views={"strong": others})`` in a
    loop of one's own. The labels of the images themselves are the Distiller's. Evaluation without that view takes the
    images for both.

    Source: Zhang, Zhang, Ji et al. (2024), Cross-view consistency regularisation for knowledge distillation, section 3,
    https://arxiv.org/abs/2412.16493; weights, thresholds and T of a copy of the authors' code for CIFAR-100 (T = 1 and
    twice the labels for ImageNet).
    Differs from source: none.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        within: omega, weight of the divergences within a view.
        across: upsilon, weight of those across.
        label_share: lambda, weight of the strong view's cross-entropy.
        sure: tau_w, least probability of the teacher's first class on the images, for the divergences within.
        sure_of_strong: tau_s, least on the strong view, for those across.

    Raises:
        InputError: a batch of a training has no strong view, or the logits are not [B, K] of the same classes.
    """

    of_examples = True
    targets, views, needs_views, needs_example = "labels", ("strong",), True, False

    def __init__(
        self,
        shapes: Shapes,
        *,
        temperature: float = 4.0,
        within: float = 2.0,
        across: float = 0.5,
        label_share: float = 1.0,
        sure: float = 0.9,
        sure_of_strong: float = 0.2,
    ) -> None:
        super().__init__()
        self.temperature, self.within, self.across = temperature, within, across
        self.label_share, self.sure, self.sure_of_strong = label_share, sure, sure_of_strong

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        if self.training and "strong" not in student.views:
            raise InputError(
                'views must hold "strong", further images of the same examples, for "crld", got none; give '
                'rw.Batch(images, labels, views={"strong": others})'
            )
        own, own_strong = student.logits, student.views.get("strong", student).logits
        aim, aim_strong = teacher.logits, teacher.views.get("strong", teacher).logits
        check_same_shape(own, aim, "logits [B, K]", 2)
        within = self._apart(aim, own) + self._apart(aim_strong, own_strong)
        across = self._apart(aim, own_strong) + self._apart(aim_strong, own)
        sure = (aim.softmax(1).amax(1) >= self.sure).to(own)
        sure_of_strong = (aim_strong.softmax(1).amax(1) >= self.sure_of_strong).to(own)
        task = functional.cross_entropy(own_strong, batch.targets, reduction="none")
        taught = self.within * sure * within + self.across * sure_of_strong * across
        return self.temperature**2 * taught + self.label_share * task

    def _apart(self, aim: Tensor, own: Tensor) -> Tensor:
        target, predicted = ((logits / self.temperature).log_softmax(1) for logits in (aim, own))
        return divergence(target, predicted)
