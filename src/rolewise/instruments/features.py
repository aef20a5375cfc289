"""What the layers of a classifier give for every image: the entry of the instruments that look inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.prediction import batches_on
from rolewise.networks import device_of, evaluating
from rolewise.taps import taps_of


@dataclass(frozen=True)
class Features:
    """What some layers gave.

    Args:
        values: tap -> [N, ...] on the CPU, as the layer gave it.
        labels: int64 [N] on the CPU.
    """

    values: dict[str, Tensor]
    labels: Tensor


def place_of(model: nn.Module, tap: str) -> tuple[nn.Module, bool]:
    """Returns the module that a tap stands for, and whether its input is meant instead of its output.

    Args:
        model: any network.
        tap: one of its names, see `rolewise.taps.taps_of`, or a module path, with ``:input`` behind it for the input.

    Raises:
        InputError: the network has no such place; the near names are given.
    """
    names = taps_of(model)
    path, colon, side = names.get(tap, tap).partition(":")
    modules = {known: module for known, module in model.named_modules(remove_duplicate=False) if known}
    if path not in modules or (colon and side != "input"):
        raise InputError(f"the network has no tap {tap!r}{near(tap, [*names, *modules])}")
    return modules[path], bool(colon)


@contextmanager
def tapped(model: nn.Module, taps: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Fills a dictionary, tap -> copy of what the layer gave, in each forward pass within it; hooks are removed after.

    Copies, since later layers may change in place what an earlier one gave.

    Args:
        model: any network.
        taps: names or module paths, see `place_of`.
    """
    seen: dict[str, Tensor] = {}

    def keep(tap: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise InputError(f"tap {tap!r} must give a tensor, got {type(value).__name__}; tap a module inside it")
        if tap in seen:
            raise InputError(f"tap {tap!r} must run once in a forward pass, got twice; tap a module around it")
        seen[tap] = value.detach().clone()

    handles = []
    try:
        for tap in dict.fromkeys(taps):
            module, of_input = place_of(model, tap)
            if of_input:
                handles.append(module.register_forward_pre_hook(lambda _, given, tap=tap: keep(tap, given[0])))
            else:
                handles.append(module.register_forward_hook(lambda _, given, result, tap=tap: keep(tap, result)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def features_in(
    model: nn.Module, images: Tensor, taps: Sequence[str], spec: InputSpec | None = None
) -> dict[str, Tensor]:
    """Returns what some layers give for one batch, tap -> [B, ...] in the order of ``taps``, in eval mode.

    Args:
        model: any network.
        images: [B, C, H, W] in [0, 1], on the model's device.
        taps: names or module paths, see `place_of`.
        spec: what the network is fed; None to feed it the images as they are.

    Raises:
        InputError: a tap does not exist, does not run, runs twice, or gives no tensor.
    """
    with evaluating(model), tapped(model, taps) as seen:
        model(prepare(images, spec) if spec is not None else images)
        missing = [tap for tap in taps if tap not in seen]
        if missing:
            raise InputError(f"tap {missing[0]!r} must run in every forward pass, got none; tap another module")
        # Hooks fill it as layers run; callers that zip values with names count on the order they asked in.
        return {tap: seen[tap] for tap in taps}


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
        batches: of (images, labels), read once.
        taps: names or module paths, see `place_of`.
        spec: what the network is fed; None to feed it the images as they are, uint8 ones in [0, 1].
        device: where the images go; None for the network's own.

    Raises:
        InputError: there is no image, or a tap cannot be relied on.
    """
    where = torch.device(device) if device is not None else device_of(model)
    parts: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    labels = []
    for images, answers in batches_on(batches, where):
        for tap, value in features_in(model, images, taps, spec).items():
            parts[tap].append(value.cpu())
        labels.append(answers.cpu())
    if not labels or not sum(map(len, labels)):
        raise InputError("batches must give at least one image, got none")
    return Features({tap: torch.cat(values) for tap, values in parts.items()}, torch.cat(labels))
