"""Passes of compiled networks that are recorded into CUDA graphs and replayed: one launch in place of hundreds."""

from __future__ import annotations

from typing import Any

import torch

from rolewise.config.training_sections import Training
from rolewise.errors import InputError


def graph_fault(training: Training, device: str) -> str:
    """Returns the rule that CUDA graphs break on a device; empty where they are not wanted, or may be recorded.

    Args:
        training: its settings.
        device: the kind of device, such as ``cpu``.
    """
    if training.compile != "graphs" or device == "cuda":
        return ""
    return f"must be true or false on {device}, got graphs: only CUDA records its work; write true"


def compile_mode(training: Training, device: torch.device) -> dict[str, Any]:
    """Returns the arguments of `Distiller.compile_networks` for a training that compiles.

    With ``graphs`` it is torch's mode ``reduce-overhead``, which records the forward and the backward pass of each
    network as a CUDA graph for each shape of its input, and leaves losses and optimisers as they are. The gradients'
    norms are not measured then (see `rolewise.train.gradients`).

    Args:
        training: its settings.
        device: of the training.

    Raises:
        InputError: graphs are wanted on a device that records none.
    """
    if fault := graph_fault(training, device.type):
        raise InputError(f"compile {fault}")
    return {"mode": "reduce-overhead"} if training.compile == "graphs" else {}


def begin_step() -> None:
    """Marks the begin of a step for torch: outputs of recorded passes of the step before may be overwritten."""
    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
