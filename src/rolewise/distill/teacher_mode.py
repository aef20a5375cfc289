"""The statistics of a teacher's norms while it teaches: their own running ones, or each batch's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

TeacherMode = Literal["eval", "batch_statistics"]
TEACHER_MODES = get_args(TeacherMode)


@contextlib.contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Lets a network's norms use the mean and variance of each batch, and keep their running ones as they are.

    Args:
        network: in eval mode; its dropout stays off.
    """
    norms = [
        (module, module.track_running_stats)
        for module in network.modules()
        if isinstance(module, _NormBase) and module.running_mean is not None
    ]
    for norm, _ in norms:
        # In training, yet without statistics to keep: torch then takes the batch's and moves nothing.
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, kept in norms:
            norm.training, norm.track_running_stats = False, kept
