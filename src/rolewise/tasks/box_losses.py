"""Losses of a dense detector: quality focal loss of its scores, GIoU of its boxes, cross-entropy of its distances."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def quality_focal_loss(logits: Tensor, quality: Tensor, gamma: float) -> Tensor:
    r"""Focal loss of scores whose target is the quality of a box.

    .. math:: \ell = -|y - \sigma(z)|^\gamma \, \big(y \log \sigma(z) + (1 - y) \log(1 - \sigma(z))\big)

    Source: Li et al. (2020), equation 2, https://arxiv.org/abs/2006.04388. With y of 0 and 1 alone it is the focal loss
    of Lin et al. (2017), https://arxiv.org/abs/1708.02002, without its alpha.
    Differs from source: none.

    Args:
        logits: z [...].
        quality: y [...] in [0, 1].
        gamma: at least 0.

    Returns:
        [...], nats.
    """
    each = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().pow(gamma) * each


def distribution_focal_loss(distribution: Tensor, distances: Tensor) -> Tensor:
    r"""Cross-entropy of distributions over distances, with the two whole numbers around the true one.

    .. math:: \ell = -(\lceil d \rceil - d) \log p_{\lfloor d \rfloor}
        - (d - \lfloor d \rfloor) \log p_{\lceil d \rceil}

    Source: Li et al. (2020), equation 6, https://arxiv.org/abs/2006.04388.
    Differs from source: none; distances beyond the last bin count as that one's.

    Args:
        distribution: logits [..., R] of the distances 0 to R - 1, in strides.
        distances: d [...], in strides.

    Returns:
        [...], nats.
    """
    last = distribution.shape[-1] - 1
    wanted = distances.clamp(0, last)
    low = wanted.floor().clamp(max=max(0, last - 1))
    share = wanted - low
    logs = functional.log_softmax(distribution, -1)
    below, above = (logs.gather(-1, at.long().unsqueeze(-1)).squeeze(-1) for at in (low, (low + 1).clamp(max=last)))
    return -(1 - share) * below - share * above


def weighted_means(values: Tensor, weights: Tensor, owner: Tensor, examples: int) -> Tensor:
    """Returns the weighted mean [B] of each example's values; 0 for one without any weight.

    Args:
        values: [P].
        weights: [P], at least 0.
        owner: int64 [P].
        examples: B.
    """
    sums = values.new_zeros(examples).index_add(0, owner, values * weights)
    total = values.new_zeros(examples).index_add(0, owner, weights.to(values))
    return sums / torch.where(total > 0, total, 1.0)
