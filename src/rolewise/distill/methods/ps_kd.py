"""Progressive self-distillation: labels give way to the network's own outputs of an epoch ago."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, TaughtBy, Term
from rolewise.errors import InputError


@method(reads="logits", name="ps_kd", mixed_labels="unsound", weight=0.8)
class PSKD(Term):
    r"""Difference between the cross-entropies under the network's former probabilities of an example and its label.

    .. math:: \ell_b = \mathrm{CE}(s_b, p_b) - \mathrm{CE}(s_b, y_b)

    Beside the labels' own term of weight 1 and with the weight alpha it makes the cross-entropy under the softened
    label (1 - alpha) y + alpha p. The former probabilities p are the softmax of the logits in the last step that had
    the example, under the augmentation that it had there; before an example's first step the loss is 0. The source
    lets alpha rise over training: ``weight: {start: 0, end: 0.8}``. Labels that weigh less than alpha are refused.

    Source: Kim, Ji, Yoon, Hwang (2021), section 3, https://arxiv.org/abs/2006.12000, and its authors' code.
    Differs from source: alpha rises step by step there, where the code has one for each epoch.

    Args:
        shapes: ``examples`` is N and ``classes`` K: the memory is a table of N x K numbers.

    Raises:
        InputError: the number of examples is not given.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    of_examples = True
    subtracts_labels = True
    targets = "labels"
    needs_indices = True
    former: Tensor

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        if shapes.classes is None:
            raise InputError('"ps_kd" must have networks with logits [B, K], got none')
        # Rows of zeros were never written: probabilities have the sum 1.
        self.register_buffer("former", torch.zeros(shapes.number_of_examples("ps_kd"), shapes.classes))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        assert batch.indices is not None
        logs = student.logits.log_softmax(1)
        former = self.former[batch.indices.to(self.former.device)].to(logs)
        label = functional.one_hot(batch.targets, logs.shape[1]).to(logs)
        known = former.sum(1, keepdim=True) > 0
        return -(torch.where(known, former - label, 0.0) * logs).sum(1)

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Writes the probabilities of the step over the former ones."""
        assert batch.indices is not None
        rows = batch.indices.to(self.former.device)
        self.former[rows] = student.logits.softmax(1).to(self.former)
