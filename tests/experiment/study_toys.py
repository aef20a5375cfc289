"""Networks and measurements for studies that go wrong, found by their path."""

from __future__ import annotations

import multiprocessing
import os
import signal

import torch
from torch import nn


def _network(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def killed(num_classes: int) -> nn.Module:
    """Ends a worker process as the system does where memory is short; the parent, which times it, survives."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return _network(num_classes)


def without_memory(num_classes: int) -> nn.Module:
    if multiprocessing.parent_process() is not None:
        raise MemoryError
    return _network(num_classes)


def spread(model: nn.Module, batches) -> dict[str, float]:
    """Needs gradients, and goes through the batches twice, as an attack or a calibration does."""
    count = sum(len(labels) for _, labels in batches)
    inputs, _ = next(iter(batches))
    inputs = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(inputs).sum(), inputs)
    return {"images_seen": float(count), "gradient": float(gradient.abs().mean())}


def nothing(model: nn.Module, batches) -> dict[str, float]:
    return {"nothing": float("nan")}


def taken(model: nn.Module, batches) -> dict[str, float]:
    return {"loss": 0.0}
