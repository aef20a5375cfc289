"""Torch's own switches around the passes of networks and losses."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

NOTHING = contextlib.nullcontext()
_KEPT = "rolewise-buffers-kept"


def without_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which nothing on a device is cast to half precision by itself."""
    # The meta device, on which shapes alone are computed, knows no autocast.
    on = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else NOTHING


@contextlib.contextmanager
def unmoved(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Lets modules compute on copies of their buffers: what they do to them inside is gone afterwards."""
    places = [
        (part, name, kept)
        for module in modules
        for part in module.modules()
        for name, kept in part._buffers.items()
        if kept is not None
    ]
    for part, name, kept in places:
        part._buffers[name] = kept.clone()
    try:
        yield
    finally:
        for part, name, kept in places:
            part._buffers[name] = kept


def keep_buffers() -> None:
    """Has torch keep the buffers of compiled graphs, so that a graph can be gone back through more than once."""
    # Not there before somebody asks for it: where nothing has been compiled yet, that is nobody.
    config: Any = importlib.import_module("torch._functorch.config")
    config.donated_buffer = False
    # Torch's cache on disk does not tell such graphs from others, and those would give wrong gradients.
    if _KEPT not in torch.compiler.config.cache_key_tag:
        torch.compiler.config.cache_key_tag += _KEPT
