"""Hidden states of TinyBERT: those of the student, through one map that all layers share, equal the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.token_features import mean_of_tokens, same_tokens, token_weights
from rolewise.errors import InputError


@method(reads="stages", name="tinybert_hidden", mixed_labels="sound", alone=True, taps=("embeddings", "last_layer"))
class TinyBERTHidden(Term):
    r"""Mean squared difference of hidden states, the student's through one learned linear map.

    .. math:: \ell_b = \sum_i \frac{1}{|x_b| \, D} \sum_{t \in x_b} \left\lVert W h^s_{bti} + c - h^t_{bti}
        \right\rVert^2

    over the tokens t of text b that are no padding; W and c are of all layers and the embeddings.

    Source: Jiao et al. (2020), equations 8 and 9, https://arxiv.org/abs/1909.10351, and the authors' code, whose map
    has a bias.
    Differs from source: one map for embeddings and layers, as in the code; there the mean is over a whole batch,
    padding included.

    Args:
        shapes: of the features: tokens [B, T, D], of one width in the student and one in the teacher.

    Raises:
        InputError: taps of one network have several widths, or the networks other numbers of tokens.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        widths = [
            {shape[2] if len(shape) == 3 else shape[1] for shape in some} for some in (shapes.student, shapes.teacher)
        ]
        if any(len(some) != 1 for some in widths):
            raise InputError(
                "tinybert_hidden must tap places of one width in each network, as one map is of all, got "
                f"{sorted(widths[0])} and {sorted(widths[1])}; choose other taps"
            )
        self.map = nn.Linear(widths[0].pop(), widths[1].pop())

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs of taps."""
        losses = []
        for feature, wanted in self.paired(student, teacher):
            tokens, second = same_tokens("tinybert_hidden", feature, wanted)
            first = through(self.map, tokens)
            losses.append(mean_of_tokens((first - second).square().mean(2), token_weights(batch, first)))
        return torch.stack(losses).sum(0)
