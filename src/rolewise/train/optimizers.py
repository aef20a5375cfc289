"""Optimisers out of their settings, and the learning rates of their groups."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rolewise.config.selection_sections import GroupSettings
from rolewise.config.training_sections import MomentaSettings, OptimizerSettings, Training, TrainSettings
from rolewise.distill import Distiller
from rolewise.train.momenta_apart import MomentaApart
from rolewise.train.parameter_groups import grouped


def optimizer_of(
    training: Training,
    distiller: Distiller,
    own: OptimizerSettings | None = None,
    groups: tuple[GroupSettings, ...] | None = None,
) -> tuple[torch.optim.Optimizer, list[float]]:
    """Returns the optimiser of a Distiller, with its fused step where the device has one, and factors of its rates.

    The factors, each group's learning rate relative to the training's, stand beside the optimiser, as its state may be
    that of another version.

    Args:
        training: with the settings of the optimiser, of groups, and of the joining of distillation's gradient.
        distiller: students and learned parts of terms.
        own: settings of the optimiser in place of the training's.
        groups: of parameters with settings of their own, in place of the training's.

    Raises:
        InputError: a group chooses nothing.
    """
    settings, joining = own or training.optimizer, training.distill_gradient
    parts = grouped(distiller, training.groups if groups is None else groups)
    rates = [_own(group, "learning_rate", settings.learning_rate) for _, group in parts]
    listed: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": _own(group, "weight_decay", settings.weight_decay)}
        for parameters, group in parts
    ]
    if isinstance(joining, MomentaSettings):
        momenta = {"momentum": settings.momentum, "apart": joining.apart}
        apart = MomentaApart(listed, lr=settings.learning_rate, weight_decay=settings.weight_decay, **momenta)
        return apart, [rate / settings.learning_rate for rate in rates]
    made = _made(settings, listed, [parameter for parameters, _ in parts for parameter in parameters])
    return made, [rate / settings.learning_rate for rate in rates]


def scaler_of(settings: TrainSettings, device: torch.device) -> torch.amp.GradScaler | None:
    """Returns the scaler of the loss, which half precision needs on a GPU; None elsewhere."""
    half = settings.precision == "float16" and device.type == "cuda"
    return torch.amp.GradScaler("cuda") if half else None


def retune(
    optimizer: torch.optim.Optimizer, settings: OptimizerSettings, groups: tuple[GroupSettings, ...]
) -> list[float]:
    """Gives an optimiser other numbers in place, its state left as it is.

    Args:
        optimizer: of `optimizer_of`.
        settings: with the new numbers, of the same kind of optimiser, and with the learning rate that it was made with.
        groups: as many as it was made with.

    Returns:
        The factors of its groups' learning rates.
    """
    # What is in no group comes first, where there is any.
    own: list[GroupSettings | None] = [None] * (len(optimizer.param_groups) - len(groups))
    owners = [*own, *groups]
    for part, group in zip(optimizer.param_groups, owners, strict=True):
        part["weight_decay"] = _own(group, "weight_decay", settings.weight_decay)
        if settings.name == "sgd":
            part["momentum"], part["nesterov"] = settings.momentum, _nesterov(settings)
        else:
            part["betas"] = settings.betas
    return [_own(group, "learning_rate", settings.learning_rate) / settings.learning_rate for group in owners]


def _nesterov(settings: OptimizerSettings) -> bool:
    return settings.nesterov and settings.momentum > 0


def _own(group: GroupSettings | None, name: str, common: float) -> float:
    own = getattr(group, name, None)
    return common if own is None else float(own)


def _made(
    settings: OptimizerSettings, listed: list[dict[str, Any]], parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            listed,
            lr=rate,
            momentum=settings.momentum,
            nesterov=_nesterov(settings),
            weight_decay=decay,
            fused=fused,
        )
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.name](listed, lr=rate, betas=settings.betas, weight_decay=decay, fused=fused)
