"""Class-wise self-distillation: an example imitates the outputs for another example of its class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, TaughtBy, Term
from rolewise.distill.vectors import divergence


@method(
    reads="logits",
    name="cs_kd",
    mixed_labels="unsound",
    weight=1.0,
    limits={"temperature": "temperature"},
    batches="class_pairs",
)
class CSKD(Term):
    r"""Divergence of softened class probabilities from those of another example of the same class in the batch.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\mathrm{softmax}(s_{\pi(b)} / T) \,\|\, \mathrm{softmax}(s_b / T))

    where pi(b) is the next example of b's class behind it in the batch, the first after the last, whose logits get no
    gradient; an example that is alone of its class has the loss 0. With ``batches: class_pairs`` of a training each
    example has such a partner, and mostly one.

    Source: Yun, Park, Lee, Shin (2020), section 2, https://arxiv.org/abs/2003.13964; T = 4 and the weight 1 (3 for fine
    classes) of the authors' code.
    Differs from source: the partners are in the batch's one forward pass, and learn themselves, from their labels and
    from their partners; in the code they have a pass of their own and only teach.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.

    Raises:
        InputError: labels are no classes.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    of_examples = True
    targets = "labels"
    needs_example = False

    def __init__(self, shapes: Shapes, *, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        partners, has_partner = next_of_class(batch.targets)
        logs = (student.logits / self.temperature).log_softmax(1)
        wanted = (teacher.logits[partners] / self.temperature).log_softmax(1)
        return self.temperature**2 * torch.where(has_partner, divergence(wanted, logs), 0.0)


def next_of_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns for each example the next of its class behind it, int64 [B], and whether there is one, [B].

    Args:
        labels: int64 [B]. An example that is alone of its class has itself.
    """
    places = torch.arange(len(labels), device=labels.device)
    steps = (places[None] - places[:, None]) % len(labels)
    others = (labels[:, None] == labels[None]) & (steps > 0)
    first = torch.where(others, steps, len(labels)).min(1).values
    return (places + first) % len(labels), first < len(labels)
