"""The rule of a training step: precision, clipping, bounds, measurements."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rolewise.train.gradients import GradientProbe
from rolewise.train.ranks import Ranks


@dataclass(frozen=True)
class StepRule:
    """The rule by which the updates of a step are done.

    Args:
        precision: ``float32``, or a half precision for the forward passes: ``bfloat16`` or ``float16``.
        scaler: of the loss, for float16; a step whose gradients it finds not finite is refused.
        clip_norm: the bound of the gradient's norm; None for none.
        gradient_ratio: the bound of the distillation's gradient relative to the labels', for each tensor (see
            `rolewise.distill.limit_gradients`); None for their plain sum.
        probe: measures the gradients of the first batch's terms in the first update; the step stays the same.
        ranks: the processes that train together, of which each has a part of every batch; None for one alone.
        graphs: whether passes are recorded into CUDA graphs, whose outputs are good until the next step.
    """

    precision: str = "float32"
    scaler: torch.amp.GradScaler | None = None
    clip_norm: float | None = None
    gradient_ratio: float | None = None
    probe: GradientProbe | None = None
    ranks: Ranks | None = None
    graphs: bool = False
