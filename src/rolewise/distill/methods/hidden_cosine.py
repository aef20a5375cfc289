"""Directions of hidden states: each token of the student points where the teacher's does (DistilBERT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import width_map
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.token_features import mean_of_tokens, same_tokens, token_weights
from rolewise.distill.vectors import unit


@method(reads="stages", name="hidden_cosine", mixed_labels="sound", alone=True, taps=("last_layer",))
class HiddenCosine(Term):
    r"""Distance of the directions of hidden states, token by token.

    .. math:: \ell_b = \sum_i \frac{1}{|x_b|} \sum_{t \in x_b} \big(1 - \cos(W_i h^s_{bti}, h^t_{bti})\big)

    over the tokens t of text b that are no padding, with a learned map W where the widths differ, else none.

    Source: Sanh, Debut, Chaumond, Wolf (2019), section 2, https://arxiv.org/abs/1910.01108; a weight of 1 beside a
    distillation loss of weight 5 in the authors' code.
    Differs from source: the mean is taken in each text first, so that each counts alike; widths may differ.

    Args:
        shapes: of the features: tokens [B, T, D].

    Raises:
        InputError: the networks have other numbers of tokens.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            width_map(student, teacher, name="hidden_cosine")
            for student, teacher in zip(shapes.student, shapes.teacher, strict=True)
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs of taps."""
        losses = []
        for learned, (feature, wanted) in zip(self.maps, self.paired(student, teacher), strict=True):
            first, second = same_tokens("hidden_cosine", through(learned, feature), wanted)
            cosine = (unit(first.flatten(0, 1)) * unit(second.flatten(0, 1))).sum(1).view(first.shape[:2])
            losses.append(mean_of_tokens(1 - cosine, token_weights(batch, first)))
        return torch.stack(losses).sum(0)
