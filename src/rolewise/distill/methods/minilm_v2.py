"""MiniLMv2: relations among queries, among keys and among values are the teacher's, for any number of heads."""

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
    relation_divergence,
    same_tokens,
    token_weights,
)


@method(
    reads="stages",
    name="minilm_v2",
    mixed_labels="sound",
    alone=True,
    taps=("last_query", "last_key", "last_value"),
    limits={"heads": "count"},
)
class MiniLMV2(Term):
    r"""Divergence of the relations of queries, of keys and of values, each with itself.

    .. math:: \ell_b = \sum_{M \in \{Q, K, V\}} \frac{1}{R \, |x_b|} \sum_{r, t \in x_b}
        \mathrm{KL}\big(R^t_{Mrbt} \,\|\, R^s_{Mrbt}\big),
        \quad R_M = \mathrm{softmax}\Big(\frac{M M^\top}{\sqrt{D / R}}\Big)

    over the tokens that are no padding, where the D channels are divided into R relation heads anew: the networks may
    have other numbers of heads and other widths. Queries, keys and values are tapped, in this order; of the teacher an
    upper middle layer is often better than the last.

    Source: Wang, Bao, Huang, Dong, Wei (2021), equations 3 to 6, https://arxiv.org/abs/2012.15828; all three relations
    have the weight 1.
    Differs from source: none.

    Args:
        shapes: of queries, keys and values, [B, T, D].
        heads: R, of the relations; 48 of base and 64 of large teachers there.

    Raises:
        InputError: taps are no queries, keys and values, heads do not divide a width, or the networks have other
            numbers of tokens.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes, *, heads: int = 12) -> None:
        super().__init__()
        self.heads = heads
        check_groups("minilm_v2", len(shapes.student), 3, "query, key and value")
        check_heads("minilm_v2", heads, shapes.student, shapes.teacher)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over layers."""
        losses = []
        for pair in self.paired(student, teacher):
            first, second = same_tokens("minilm_v2", *pair)
            given, wanted = (head_scores(tokens, tokens, self.heads) for tokens in (first, second))
            losses.append(relation_divergence(given, wanted, token_weights(batch, first)))
        return torch.stack(losses).sum(0)
