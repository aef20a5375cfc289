"""Feature maps in the style of other examples: their channels' statistics are mixed."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed_statistics(maps: Tensor, partners: Tensor, ratios: Tensor) -> Tensor:
    r"""Returns feature maps whose channels' means and deviations are mixed with those of other examples.

    .. math:: \tilde x = \sigma' \, \frac{x - \mu(x)}{\sigma(x)} + \mu', \quad \mu' = \lambda \mu(x) + (1 - \lambda)
        \mu(x_j)

    and :math:`\sigma'` likewise; statistics are constants for the gradient.

    Source: Zhou et al. (2021), equations 2 to 6, which the MixDistribution of Tang et al. (2023) is taken to be.

    Args:
        maps: x, [B, D, H, W].
        partners: int64 [B], the places of x_j.
        ratios: lambda, [B] in [0, 1].
    """
    with torch.no_grad():
        mean, deviation = maps.mean(dim=(2, 3), keepdim=True), (maps.var(dim=(2, 3), keepdim=True) + 1e-6).sqrt()
        own = ratios.to(maps.dtype)[:, None, None, None]
        new_mean, new_deviation = (own * one + (1 - own) * one[partners] for one in (mean, deviation))
    return new_deviation * (maps - mean) / deviation + new_mean
