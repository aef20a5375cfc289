"""The least memory of a network, and the memory of the machine."""

from __future__ import annotations

import torch
from torch import nn

from rolewise.machine_memory import total_memory


def bytes_of(network: nn.Module) -> int:
    """Returns the bytes of a network's weights and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def machine_memory(device: torch.device) -> int | None:
    """Returns the bytes of memory that a device has in all, in use or not; None where the system gives no figure.

    Args:
        device: the CPU, whose memory a container may hold to less than the machine has, or a GPU.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return total_memory()


def shown(number: float) -> str:
    """Returns a number of bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.0f} TB"
