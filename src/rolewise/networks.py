"""Networks: their modes, their device, and the logits they return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.logits import logits_in


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[nn.Module]:
    """Restores every module's own training or eval mode at the end.

    Args:
        model: any network; a part of it that was in eval mode before is so again afterwards.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Holds a network in eval mode, and restores every module's own mode at the end.

    Args:
        model: any network.
    """
    with modes_kept(model):
        model.eval()
        yield model


def device_of(model: nn.Module) -> torch.device:
    """Returns the device of a network's first parameter or buffer; the CPU where it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def class_logits(output: Any) -> Tensor:
    """Returns the logits [B, K] of a classifier, at least in single precision.

    Args:
        output: of the network: a tensor, or an object or a mapping with ``logits``.

    Returns:
        [B, K]; float64 stays, half precision becomes float32.

    Raises:
        InputError: the output is neither, or the logits are not [B, K] with two classes or more.
    """
    logits = logits_in(output)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"logits must have shape [B, K] with K at least 2, got {list(logits.shape)}")
    return logits if logits.dtype == torch.float64 else logits.float()


def shape_or_type(value: object) -> list[int] | str:
    """Returns the shape of a tensor, and the name of the type of anything else, for a message."""
    return list(value.shape) if isinstance(value, Tensor) else type(value).__name__


def is_stacked(tensor: Tensor) -> bool:
    """Returns whether a tensor stands for one of each of several networks, as `torch.func.vmap` has it.

    Its values cannot be read, and its gradient is outside.
    """
    return torch._C._functorch.is_batchedtensor(tensor)
