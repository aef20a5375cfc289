"""Optimisers out of their settings."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from rolewise.train.settings import OptimizerSettings


def optimizer_of(settings: OptimizerSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Returns the optimiser, with its fused step where the device has one."""
    listed = list(parameters)
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in listed)
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            listed,
            lr=rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov and settings.momentum > 0,
            weight_decay=decay,
            fused=fused,
        )
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.name](listed, lr=rate, betas=settings.betas, weight_decay=decay, fused=fused)
