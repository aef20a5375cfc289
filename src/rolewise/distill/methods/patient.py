"""Patient knowledge distillation (PKD of BERT): layers of the student follow layers of the teacher, text by text."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.token_features import as_tokens, token_weights
from rolewise.distill.vectors import unit
from rolewise.errors import InputError


@method(reads="stages", name="patient", mixed_labels="sound", alone=True, taps=("last_layer",), weight=10.0)
class Patient(Term):
    r"""Squared distance of the normalised hidden states of whole texts, layer by layer.

    .. math:: \ell_b = \sum_i \left\lVert \frac{h^s_{bi}}{\lVert h^s_{bi} \rVert}
        - \frac{h^t_{bi}}{\lVert h^t_{bi} \rVert} \right\rVert^2

    with h the hidden state of the first token, or the mean over the tokens that are no padding. Which layer of the
    teacher a layer of the student follows is chosen by the taps: ``student_taps: [layer1, layer2]`` with
    ``teacher_taps: [layer2, layer4]`` skips every other one.

    Source: Sun, Cheng, Gan, Liu (2019), section 3.2, https://arxiv.org/abs/1908.09355; weights of 10 to 1,000 there.
    Differs from source: ``mean`` is a choice, for encoders that pool so; the teacher's last layer may be tapped.

    Args:
        shapes: of the features: tokens [B, T, D] of equal widths.
        token: ``first``, or ``mean`` of all.

    Raises:
        InputError: the widths differ.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes, *, token: Literal["first", "mean"] = "first") -> None:
        super().__init__()
        self.token = token
        for student, teacher in zip(shapes.student, shapes.teacher, strict=True):
            widths = [shape[2] if len(shape) == 3 else shape[1] for shape in (student, teacher)]
            if widths[0] != widths[1]:
                raise InputError(
                    f"patient must tap hidden states of equal widths, got {widths[0]} and {widths[1]}; take "
                    "hidden_cosine or tinybert_hidden, which learn a map"
                )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over layers."""
        losses = []
        for pair in self.paired(student, teacher):
            first, second = (unit(self.whole(as_tokens(feature), batch)) for feature in pair)
            losses.append((first - second).square().sum(1))
        return torch.stack(losses).sum(0)

    def whole(self, tokens: Tensor, batch: Batch) -> Tensor:
        """Returns one hidden state [B, D] of each text."""
        if self.token == "first":
            return tokens[:, 0]
        weights = token_weights(batch, tokens)[:, :, None]
        return torch.where(weights > 0, tokens, 0.0).sum(1) / weights.sum(1).clamp_min(1.0)
