"""Attention of TinyBERT: the scores of each head before their softmax equal the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.token_features import (
    check_groups,
    check_heads,
    head_scores,
    same_tokens,
    token_weights,
)


@method(
    reads="stages",
    name="tinybert_attention",
    mixed_labels="sound",
    alone=True,
    taps=("last_query", "last_key"),
    limits={"heads": "count"},
)
class TinyBERTAttention(Term):
    r"""Mean squared difference of attention scores, head by head.

    .. math:: \ell_b = \sum_i \frac{1}{A \, |x_b|^2} \sum_{a, t, u \in x_b} \big(S^s_{abtui} - S^t_{abtui}\big)^2,
        \quad S = \frac{Q K^\top}{\sqrt{D / A}}

    over pairs of tokens t, u of text b that are no padding. Scores are computed from queries and keys, which are tapped
    in turns (``[query1, key1, query2, key2]``): networks keep their fused attention, which never gives scores away.

    Source: Jiao et al. (2020), equation 7, https://arxiv.org/abs/1909.10351: unnormalised scores.
    Differs from source: padding is left out, where the authors' code sets its scores to 0.

    Args:
        shapes: of the queries and keys, [B, T, D].
        heads: A, of both networks.

    Raises:
        InputError: taps are no queries and keys in turns, heads do not divide a width, or the networks have other
            numbers of tokens.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes, *, heads: int = 12) -> None:
        super().__init__()
        self.heads = heads
        check_groups("tinybert_attention", len(shapes.student), 2, "query and key")
        check_heads("tinybert_attention", heads, shapes.student, shapes.teacher)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over layers."""
        pairs = [same_tokens("tinybert_attention", *pair) for pair in self.paired(student, teacher)]
        losses = []
        for queries, keys in zip(pairs[::2], pairs[1::2], strict=True):
            weights = token_weights(batch, queries[0])
            given, wanted = (head_scores(queries[role], keys[role], self.heads) for role in (0, 1))
            both = (weights[:, :, None] * weights[:, None]).unsqueeze(1)
            squares = torch.where(both > 0, (given - wanted).square(), 0.0).mean(1)
            losses.append(squares.sum((1, 2)) / weights.sum(1).square().clamp_min(1.0))
        return torch.stack(losses).sum(0)
