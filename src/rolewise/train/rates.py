"""Learning rates as pure functions of the fraction of training done."""

from __future__ import annotations

import math

from rolewise.train.settings import RateSchedule


def rate(schedule: RateSchedule, progress: float) -> float:
    """Returns the factor of the base learning rate.

    After a linear warm-up over the first ``warmup`` of training: ``constant`` 1; ``multistep`` gamma to the number of
    milestones passed; ``cosine`` from 1 to ``final`` over the rest; ``onecycle`` up to 1 over the first 0.3 (or the
    warm-up) and down to ``final``, both along a cosine.

    Args:
        schedule: its settings.
        progress: in [0, 1].
    """
    if schedule.name == "onecycle":
        top = schedule.warmup or 0.3
        if progress < top:
            return _cosine(0.04, 1.0, progress / top)
        return _cosine(1.0, schedule.final, (progress - top) / (1 - top))
    if progress < schedule.warmup:
        # Never 0: the first step is to do something.
        return max(progress / schedule.warmup, 1e-3)
    if schedule.name == "multistep":
        # A fraction such as 0.3 is met although 30 / 100 is not exactly it.
        return schedule.gamma ** sum(progress >= milestone - 1e-9 for milestone in schedule.milestones)
    if schedule.name == "cosine":
        return _cosine(1.0, schedule.final, (progress - schedule.warmup) / (1 - schedule.warmup))
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2
