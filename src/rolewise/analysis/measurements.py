"""What is measured of a trained network on the test set: a registry of functions, and any function by its path."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError, near
from rolewise.registry import Registry

#: The test set as (inputs [B, C, H, W] as the network wants them, labels int64 [B]); may be gone through again.
Batches = Iterable[tuple[Tensor, Tensor]]
#: Takes a network in eval mode, which returns logits [B, K] or an object that has ``logits``, and the test set.
#: Gradients are on: who needs none says ``torch.no_grad``. Returns finite numbers by the name of their column.
Measure = Callable[[nn.Module, Batches], Mapping[str, float]]

MEASURES: Registry[Measure] = Registry("measurement")


@MEASURES.add("accuracy")
@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches) -> dict[str, float]:
    """Returns the share of images that are classified rightly, and the mean cross-entropy in nats.

    Args:
        model: the network, in eval mode.
        batches: (inputs [B, C, H, W], labels int64 [B]).
    """
    hits, loss, count = 0, 0.0, 0
    for inputs, labels in batches:
        output = model(inputs)
        logits = (output if isinstance(output, Tensor) else output.logits).float()
        hits += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        count += len(labels)
    if not count:
        raise InputError("a measurement must have at least one image, got none")
    return {"accuracy": hits / count, "loss": loss / count}


def measure_of(name: str) -> Measure:
    """Returns a measurement by its name or by its path ``package.module:function``.

    Raises:
        InputError: there is none of that name, or it cannot be imported.
    """
    if ":" not in name:
        return MEASURES[name]
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f'"{name}" cannot be imported ({error}); it must read package.module:function') from error
    if not callable(function):
        raise InputError(f'"{name}" must be callable, got {type(function).__name__}')
    return function  # type: ignore[no-any-return]


def measure_fault(name: str) -> str:
    """Returns what is wrong with the name of a measurement; empty where nothing is. Nothing is imported."""
    if ":" in name or name in MEASURES:
        return ""
    return f"must be a measurement or package.module:function, got {name!r}{near(name, MEASURES)}"
