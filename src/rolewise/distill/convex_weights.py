"""The convex combination of a few vectors that is shortest: of teachers' gradients."""

from __future__ import annotations

import torch
from torch import Tensor

#: Sweeps over all pairs at most; two teachers need one, and a handful some tens.
_SWEEPS = 1000


def shortest_weights(products: Tensor, most: float = 1.0) -> Tensor:
    r"""Returns weights [M] in double precision, on the CPU, of the shortest convex combination of M vectors.

    .. math:: \min_w \tfrac12 w^\top G w, \quad \sum_k w_k = 1, \quad 0 \le w_k \le C

    Pairs of weights are moved against each other, each to its best place, until none moves.

    Args:
        products: G [M, M], the inner products of the vectors.
        most: C; at least 1 / M, below which it counts as that.
    """
    gram = products.detach().double().cpu()
    number = len(gram)
    weights, bound = torch.full((number,), 1 / number, dtype=torch.float64), max(most, 1 / number)
    for _ in range(_SWEEPS):
        before = weights.clone()
        for first in range(number):
            for second in range(first + 1, number):
                slopes = gram @ weights
                curve = gram[first, first] + gram[second, second] - 2 * gram[first, second]
                if curve <= 0:
                    continue  # equal vectors: nothing is gained by a move
                low = torch.maximum(-weights[first], weights[second] - bound)
                high = torch.minimum(bound - weights[first], weights[second])
                move = ((slopes[second] - slopes[first]) / curve).clamp(low, high)
                weights[first] += move
                weights[second] -= move
        if (weights - before).abs().max() < 1e-12:
            break
    return weights
