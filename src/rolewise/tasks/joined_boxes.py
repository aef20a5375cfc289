"""A dense detector whose outputs are one tensor, as files of networks are written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.tasks.detection_outputs import outputs_of


def with_joined_boxes(network: nn.Module) -> nn.Module:
    """Returns a detector, changed in place, that gives boxes and logits alone, joined: [B, A, 4 + K].

    The network's own modules keep their names, so that its weights load and its layers are named as before.

    Args:
        network: gives what the task of detection takes.
    """
    network.register_forward_hook(_joined)
    return network


def _joined(module: nn.Module, inputs: Any, output: Any) -> Tensor:
    values = output if isinstance(output, dict) and "logits" in output else outputs_of(output, 0).values
    if "logits" not in values:
        raise InputError(
            "a detector must be a dense one to become a file, with logits and boxes of all its places, got finished "
            "boxes; predict by its run, or write its file with its own library"
        )
    return torch.cat([values["boxes"], values["logits"].to(values["boxes"])], -1)
