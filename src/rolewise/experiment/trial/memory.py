"""What memory a network takes at the least, and what there is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import torch
from torch import nn

#: Where Linux says how much a container may take.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def bytes_of(network: nn.Module) -> int:
    """Returns the bytes of a network's weights and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def machine_memory(device: torch.device) -> int | None:
    """Returns the bytes of memory that a device has in all, in use or not; None where nobody says.

    Args:
        device: the CPU, whose memory a container may hold to less than the machine has, or a GPU.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        with contextlib.suppress(ValueError, OSError):  # ValueError: "max", where there is no limit
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min(found, default=None)


def shown(number: float) -> str:
    """Returns a number of bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.0f} TB"
