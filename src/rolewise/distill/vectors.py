"""Directions of features with a bounded gradient, squared differences, and divergences between distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Squared length at or below which a vector, or a difference, counts as zero: its direction would be rounding, and its
#: gradient, which grows as it shrinks, would overflow.
EQUAL = 1e-24


def unit(vectors: Tensor) -> Tensor:
    """Returns vectors [B, D] at unit length; one no longer than 1e-12 becomes zero and gets no gradient.

    What is not finite stays so.
    """
    square = vectors.square().sum(1, keepdim=True)
    short = square <= EQUAL
    return torch.where(short, 0.0, vectors / torch.where(short, 1.0, square).sqrt())


def divergence(log_target: Tensor, log_predicted: Tensor) -> Tensor:
    """Returns KL(target || predicted) in nats, [...], from log-probabilities [..., K]."""
    found: Tensor = torch.linalg.vecdot(log_target.exp(), log_target - log_predicted)
    return found


def mean_square(first: Tensor, second: Tensor) -> Tensor:
    """Returns the mean squared difference [B] of two tensors [B, ...] of one shape."""
    return _mean_of_example(functional.mse_loss(first, second, reduction="none"))


def mean_distance(first: Tensor, second: Tensor) -> Tensor:
    """Returns the mean absolute difference [B] of two tensors [B, ...] of one shape."""
    return _mean_of_example(functional.l1_loss(first, second, reduction="none"))


def _mean_of_example(errors: Tensor) -> Tensor:
    """Returns a mean whose gradient is one number for each example; that of `Tensor.mean` is written out for all."""
    flat = errors.flatten(1)
    return flat.sum(1) / flat.shape[1]
