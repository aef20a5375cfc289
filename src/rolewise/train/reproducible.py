"""The same bytes from the same training on a GPU, where several of torch's and cuDNN's kernels add in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

from rolewise.errors import InputError

#: Torch's own, whose types do not name what it holds.
_FILLING: Any = deterministic
#: Set to ``off``, a training on a GPU may use kernels whose results differ from run to run.
SWITCH = "ROLEWISE_DETERMINISTIC"
#: Workspaces with which cuBLAS adds in one order; it reads the variable when it is first used.
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def is_wanted() -> bool:
    """Returns whether trainings on a GPU use kernels with the same result each time; InputError for another value."""
    value = os.environ.get(SWITCH, "on")
    if value not in ("on", "off"):
        raise InputError(f"the environment variable {SWITCH} must be on or off, got {value!r}")
    return value == "on"


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Lets torch and cuDNN choose kernels that give the same result each time; torch's settings are put back after it.

    An operation that has no such kernel runs as it is, and torch warns of it. On a CPU nothing changes: there the
    kernels are of that kind already.

    Args:
        device: of the work.

    Raises:
        InputError: the environment variable ``ROLEWISE_DETERMINISTIC`` is neither ``on`` nor ``off``.
    """
    if device.type != "cuda" or not is_wanted():
        yield
        return
    os.environ.setdefault(*_CUBLAS)
    cudnn = torch.backends.cudnn
    kept = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, own, filled = cudnn.benchmark, cudnn.deterministic, _FILLING.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling memory that is written anyway would cost a pass over it.
        cudnn.benchmark, cudnn.deterministic, _FILLING.fill_uninitialized_memory = False, True, False
        yield
    finally:
        torch.use_deterministic_algorithms(kept[0], warn_only=kept[1])
        cudnn.benchmark, cudnn.deterministic, _FILLING.fill_uninitialized_memory = benchmark, own, filled
