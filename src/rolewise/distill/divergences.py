"""Divergences between distributions over classes."""

from __future__ import annotations

import torch
from torch import Tensor


def divergence(log_target: Tensor, log_predicted: Tensor) -> Tensor:
    """Returns KL(target || predicted) in nats, [B], from log-probabilities [B, K]."""
    found: Tensor = torch.linalg.vecdot(log_target.exp(), log_target - log_predicted)
    return found
