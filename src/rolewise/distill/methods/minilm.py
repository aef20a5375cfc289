"""MiniLM: the last layer's attention, and the relations of its values, are the teacher's."""

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
    name="minilm",
    mixed_labels="sound",
    alone=True,
    taps=("last_query", "last_key", "last_value"),
    limits={"heads": "count"},
)
class MiniLM(Term):
    r"""Divergence of attention distributions, and of the relations of values, head by head.

    .. math:: \ell_b = \frac{1}{A \, |x_b|} \sum_{a, t \in x_b} \Big(\mathrm{KL}\big(A^t_{abt} \,\|\, A^s_{abt}\big)
        + \mathrm{KL}\big(V^t_{abt} \,\|\, V^s_{abt}\big)\Big)

    with attention A = softmax(Q K^T / sqrt(D / A)) and relations V = softmax(V V^T / sqrt(D / A)) over the tokens that
    are no padding. Widths may differ, and the number of heads may not. Queries, keys and values are tapped, in this
    order: networks keep their fused attention.

    Source: Wang et al. (2020), equations 3 to 7, https://arxiv.org/abs/2002.10957; of the last layer of each network.
    Differs from source: none.

    Args:
        shapes: of queries, keys and values, [B, T, D].
        heads: A, of both networks.

    Raises:
        InputError: taps are no queries, keys and values, heads do not divide a width, or the networks have other
            numbers of tokens.
    """

    reads_tokens = True

    def __init__(self, shapes: Shapes, *, heads: int = 12) -> None:
        super().__init__()
        self.heads = heads
        check_groups("minilm", len(shapes.student), 3, "query, key and value")
        check_heads("minilm", heads, shapes.student, shapes.teacher)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over layers."""
        pairs = [same_tokens("minilm", *pair) for pair in self.paired(student, teacher)]
        weights, losses = token_weights(batch, pairs[0][0]), []
        for queries, keys, values in zip(pairs[::3], pairs[1::3], pairs[2::3], strict=True):
            for rows, columns in ((queries, keys), (values, values)):
                given, wanted = (head_scores(rows[role], columns[role], self.heads) for role in (0, 1))
                losses.append(relation_divergence(given, wanted, weights))
        return torch.stack(losses).sum(0)
