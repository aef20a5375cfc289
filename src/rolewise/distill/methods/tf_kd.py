"""Teacher-free distillation: a virtual teacher that is sure of the label and even about all other classes."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, TaughtBy, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="logits",
    name="tf_kd",
    mixed_labels="sound",
    alone=True,
    weight=0.1,
    limits={"temperature": "temperature", "certainty": "fraction"},
)
class TfKD(Term):
    r"""Divergence of the student's class probabilities from a virtual teacher's, which is always right.

    .. math:: \ell_b = \mathrm{KL}(\mathrm{softmax}(u_b / T) \,\|\, \mathrm{softmax}(s_b)), \quad
        u_{bk} = \begin{cases} a & k = y_b \\ (1 - a) / (K - 1) & \text{otherwise} \end{cases}

    A mixed label is the mixture of the two classes' u. As in the authors' code the temperature softens probabilities,
    so that the target is nearly even, and the student is not softened. With ``form: softened`` it is
    T^2 KL(softmax(log u / T) || softmax(s / T)): the virtual teacher taken for a real one.

    Source: Yuan, Tay, Li, Wang, Feng (2020), section 4, https://arxiv.org/abs/1909.11723, and its authors' code:
    a = 0.99, T = 20 and weights of 0.1 to 0.95, beside 1 less of that for the labels.
    Differs from source: a sum over classes, where the code takes the mean and multiplies by 1 to 100; at 100 classes
    and its multiplier of 100 the two are equal. The paper's other form, an equal network as teacher, is a chain.

    Args:
        shapes: ``classes`` is K.
        temperature: T > 0, dimensionless.
        certainty: a, above 1 / K.
        form: the ``code``'s, or ``softened``.

    Raises:
        InputError: there is one class, or the certainty is that of a guess.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    of_examples = True
    targets = "labels"
    needs_example = False

    def __init__(
        self,
        shapes: Shapes,
        *,
        temperature: float = 20.0,
        certainty: float = 0.99,
        form: Literal["code", "softened"] = "code",
    ) -> None:
        super().__init__()
        self.temperature, self.certainty, self.form = temperature, certainty, form

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        logits = student.logits
        target = self.target(batch.targets, logits.shape[1], logits)
        if self.form == "code":
            return divergence((target / self.temperature).log_softmax(1), logits.log_softmax(1))
        wanted = (target.log() / self.temperature).log_softmax(1)
        return self.temperature**2 * divergence(wanted, (logits / self.temperature).log_softmax(1))

    def target(self, labels: Tensor, classes: int, like: Tensor) -> Tensor:
        """Returns the virtual teacher's probabilities [B, K].

        Args:
            labels: int64 [B], or soft [B, K].
            classes: K.
            like: a tensor of the result's type and device.

        Raises:
            InputError: there is one class, or the certainty is that of a guess.
        """
        if classes < 2 or not 1 / classes < self.certainty < 1:
            raise InputError(
                f'"tf_kd": certainty must be above 1 / K and below 1, got {self.certainty:g} for {classes} classes'
            )
        if not labels.is_floating_point():
            labels = torch.nn.functional.one_hot(labels, classes)
        rest = (1 - self.certainty) / (classes - 1)
        return rest + (self.certainty - rest) * labels.to(like)
