"""Learning rates and searched numbers as pure functions of the fraction of training done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rolewise.config.training_sections import RateSchedule
from rolewise.errors import InputError

#: (start fraction, values by name), in the order of the fractions.
Scalars = Sequence[tuple[float, dict[str, float]]]


def rate(schedule: RateSchedule, progress: float) -> float:
    """Returns the factor of the base learning rate.

    After a linear warm-up over the first ``warmup`` of training: ``constant`` 1; ``multistep`` gamma to the number of
    milestones passed; ``cosine``, ``linear`` and ``poly`` from 1 to ``final`` over the rest, the last as the remaining
    part to the ``power``; ``onecycle`` up to 1 over the first 0.3 (or the warm-up) and down to ``final``, both along a
    cosine.

    Args:
        schedule: its settings, with moments that are fractions (see `RateSchedule.over`).
        progress: in [0, 1].

    Raises:
        InputError: a moment is counted in epochs or steps.
    """
    warmup = schedule.warmup
    if isinstance(warmup, str) or any(isinstance(moment, str) for moment in schedule.milestones):
        raise InputError("a schedule's moments must be fractions of training here; call schedule.over(epochs, steps)")
    if schedule.name == "onecycle":
        top = warmup or 0.3
        if progress < top:
            return _cosine(0.04, 1.0, progress / top)
        return _cosine(1.0, schedule.final, (progress - top) / (1 - top))
    if progress < warmup:
        # Never 0: the first step is to do something.
        return max(progress / warmup, 1e-3)
    if schedule.name == "multistep":
        # A fraction such as 0.3 is met although 30 / 100 is not exactly it.
        return schedule.gamma ** sum(progress >= float(milestone) - 1e-9 for milestone in schedule.milestones)
    if schedule.name == "cosine":
        return _cosine(1.0, schedule.final, (progress - warmup) / (1 - warmup))
    if schedule.name in ("linear", "poly"):
        remaining = max(0.0, (1 - progress) / (1 - warmup))
        return schedule.final + (1 - schedule.final) * remaining ** (schedule.power if schedule.name == "poly" else 1)
    return 1.0


def _cosine(start: float, end: float, way: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, way))) / 2


def scalars_at(scalars: Scalars, progress: float) -> dict[str, float]:
    """Returns the values that hold: each that of the last segment which has begun and has it; none where none has.

    A training that is resumed finds all of them, also those of earlier segments.

    Args:
        scalars: the segments.
        progress: fraction of training done, in [0, 1].
    """
    begun = [values for start, values in scalars if start <= progress + 1e-9]
    return {name: value for values in begun for name, value in values.items()}
