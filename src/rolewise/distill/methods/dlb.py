"""Self-distillation from the last batch: an example that comes again at once imitates what it was just given."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, TaughtBy, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="logits",
    mixed_labels="unsound",
    weight=1.0,
    limits={"temperature": "temperature", "size": "count"},
    batches="repeated",
)
class DLB(Term):
    r"""Divergence of an example's softened class probabilities from those of the step before.

    .. math:: \ell_b = r \, T^2 \, \mathrm{KL}(\mathrm{softmax}(z_b / T) \,\|\, \mathrm{softmax}(s_b / T))

    with z the logits that the example had in the step before, under the augmentation of that step, and r the number of
    examples of the batch over that of those which were in it; the loss of the others is 0. So its mean over the batch
    is the mean over those that came again. With ``batches: repeated`` of a training half of each batch does.

    Source: Shen et al. (2022), section 3, https://arxiv.org/abs/2203.16172, with both halves in one forward pass, as
    the paper has it; T = 3 and the weight 1 are usual.
    Differs from source: the step's first half has its logits remembered, and so has the second, which does not come a
    third time; the authors' code has a forward pass for each half.

    Args:
        shapes: ``classes`` is K.
        temperature: T > 0, dimensionless.
        size: the number of logits that are kept, at least the size of a batch.

    Raises:
        InputError: a batch is larger than that.
    """

    taught_by: ClassVar[TaughtBy] = "itself"
    of_examples = True
    needs_indices = True
    rows: Tensor
    logits: Tensor

    def __init__(self, shapes: Shapes, *, temperature: float = 3.0, size: int = 1024) -> None:
        super().__init__()
        if shapes.classes is None:
            raise InputError('"dlb" must have networks with logits [B, K], got none')
        self.temperature = temperature
        self.register_buffer("rows", torch.full((size,), -1))
        self.register_buffer("logits", torch.zeros(size, shapes.classes))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        assert batch.indices is not None
        if len(batch.indices) > len(self.rows):
            raise InputError(
                f'"dlb": size must be at least that of a batch, {len(batch.indices)}, got {len(self.rows)}; raise it'
            )
        same = batch.indices.to(self.rows.device)[:, None] == self.rows[None]
        again, places = same.any(1), same.to(torch.int8).argmax(1)
        logs = (student.logits / self.temperature).log_softmax(1)
        wanted = (self.logits[places].to(logs) / self.temperature).log_softmax(1)
        factor = len(again) / again.sum().clamp_min(1)
        return factor * self.temperature**2 * torch.where(again, divergence(wanted, logs), 0.0)

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Takes over the logits of the step, and forgets those of the step before."""
        assert batch.indices is not None
        number = len(batch.indices)
        self.rows[:number] = batch.indices.to(self.rows)
        self.rows[number:] = -1
        self.logits[:number] = student.logits.to(self.logits)
        self.logits[number:] = 0.0
