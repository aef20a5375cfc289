"""Features of a classifier's layers for every image: the entry of the instruments that look inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import examples_on, fed_outputs
from rolewise.networks import device_of, evaluating
from rolewise.taps import tap


@dataclass(frozen=True)
class Features:
    """Features of some layers.

    Args:
        values: tap -> [N, ...] on the CPU, as the layer gave it.
        labels: int64 [N] on the CPU.
    """

    values: dict[str, Tensor]
    labels: Tensor


@torch.no_grad()
def features_in(model: nn.Module, images: Any, taps: Sequence[str], spec: InputSpec | None = None) -> dict[str, Tensor]:
    """Returns features of some layers for one batch, tap -> [B, ...] in the order of ``taps``, in eval mode.

    Args:
        model: any network.
        images: [B, C, H, W] in [0, 1], or texts (see `fed_outputs`), on the model's device.
        taps: names or module paths, see `rolewise.taps.tap`.
        spec: the network's input; None to feed it the images as they are.

    Raises:
        InputError: a tap does not exist, does not run, runs twice, or gives no tensor.
    """
    # Copies, since later layers may change in place what an earlier one gave.
    with evaluating(model), tap(model, taps, detach=True, copy=True) as seen:
        fed_outputs(model, images, spec)
    return {name: seen[name] for name in taps}


def features_of(
    model: nn.Module,
    batches: Iterable[Any],
    taps: Sequence[str] = ("penultimate",),
    *,
    spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> Features:
    """Collects what some layers give for every image.

    Source: none.

    Args:
        model: any network. It is not moved; it runs in eval mode.
        batches: of (images, labels) or (texts, labels), read once.
        taps: names or module paths, see `rolewise.taps.tap`.
        spec: the network's input; None to feed it the images as they are, uint8 ones in [0, 1].
        device: the images' device; None for the network's own.

    Raises:
        InputError: there is no image, or a tap cannot be relied on.
    """
    where = torch.device(device) if device is not None else device_of(model)
    taps = values_of(taps, "taps")
    parts: dict[str, list[Tensor]] = {name: [] for name in taps}
    labels = []
    for images, answers in examples_on(batches, where):
        for name, value in features_in(model, images, taps, spec).items():
            parts[name].append(value.cpu())
        labels.append(answers.cpu())
    if not labels or not sum(map(len, labels)):
        raise InputError("batches must give at least one image, got none")
    return Features({name: torch.cat(values) for name, values in parts.items()}, torch.cat(labels))
