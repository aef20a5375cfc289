"""How networks and losses are run: torch's own switches."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

_NOTHING = contextlib.nullcontext()
_KEPT = "rolewise-buffers-kept"


def without_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which nothing on a device is cast to half precision by itself."""
    # The meta device, on which shapes alone are computed, knows no autocast.
    on = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else _NOTHING


def keep_buffers() -> None:
    """Has torch keep the buffers of compiled graphs, so that a graph can be gone back through more than once."""
    torch._functorch.config.donated_buffer = False
    # Torch's cache on disk does not tell such graphs from others, and those would give wrong gradients.
    if _KEPT not in torch.compiler.config.cache_key_tag:
        torch.compiler.config.cache_key_tag += _KEPT
