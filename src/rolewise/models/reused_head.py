"""A student that ends in its teacher's classifier, behind a learned projector: the network that SimKD trains.

Source: Chen et al. (2022), https://arxiv.org/abs/2203.14001; the projector of the authors' code.
Differs from source: the projector works at the student's own height and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS, construct
from rolewise.seeds import derive_seed
from rolewise.taps.names import names_of, pooling_of


def with_reused_head(
    network: nn.Module,
    *,
    width: int,
    num_classes: int,
    reduction: int = 2,
    last: Literal["relu", "none"] = "relu",
) -> nn.Module:
    """Puts a projector before the pooling of a network, and a frozen classifier of another width in place of its own.

    The network stays what it is: its forward pass, and with it export, evaluation and prediction, goes through the
    new parts. `simkd` fills the classifier with the teacher's weights.

    Args:
        network: that averages its last map over all places by a module, and classifies the mean; it is changed.
        width: D of the teacher's last map, which is the input of its classifier.
        num_classes: K of the teacher.
        reduction: factor by which the projector is narrower inside than the teacher.
        last: activation behind the projector: ``relu``, or ``none`` where the teacher's last map has negative values.

    Returns:
        The same network.

    Raises:
        InputError: the network has no such pooling or classifier, or a number is out of range.
    """
    if width < 1 or reduction < 1 or width // reduction < 1:
        raise InputError(f"width and reduction must leave a channel, got width {width} and reduction {reduction}")
    if last not in ("relu", "none"):
        raise InputError(f'last must be "relu" or "none", got {last!r}')
    pooling, path = pooling_of(network), names_of(network).get("logits", "")
    head = dict(network.named_modules()).get(path)
    if pooling is None or not isinstance(head, nn.Linear):
        raise InputError(
            "a network must average its last map by nn.AdaptiveAvgPool2d(1) and end in a linear layer for its head to "
            "be reused; take another network"
        )
    replacement = nn.Linear(width, num_classes).requires_grad_(False)
    _replace(
        network, pooling, nn.Sequential(_projector(head.in_features, width, reduction, last), nn.AdaptiveAvgPool2d(1))
    )
    _replace(network, path, replacement)
    taps = {key: value for key, value in names_of(network).items() if key not in ("last_map", "last_stage")}
    network.taps = {**taps, "last_map": f"{pooling}.0"}  # type: ignore[assignment]
    network.reused_head = path  # type: ignore[assignment]
    return network


def _projector(width: int, out: int, reduction: int, last: str) -> nn.Sequential:
    middle = out // reduction
    layers: list[nn.Module] = []
    for before, after, side in ((width, middle, 1), (middle, middle, 3), (middle, out, 1)):
        layers += [nn.Conv2d(before, after, side, padding=side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*(layers if last == "relu" else layers[:-1]))


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)


@MODELS.add("reused_head")
def reused_head(
    num_classes: int,
    channels: int = 3,
    size: tuple[int, int] = (32, 32),
    body: str = "resnet8",
    body_arguments: Mapping[str, Any] | None = None,
    width: int = 64,
    reduction: int = 2,
    last: Literal["relu", "none"] = "relu",
) -> nn.Module:
    """A network with a learned projector to a teacher's width and the teacher's classifier behind it (SimKD)."""
    # The stream that the projector is drawn from stays as it is.
    seed = derive_seed(torch.default_generator.initial_seed(), "body")
    network = construct(body, body_arguments or {}, num_classes=num_classes, channels=channels, size=size, seed=seed)
    return with_reused_head(network, width=width, num_classes=num_classes, reduction=reduction, last=last)
