"""The cost of a search, stated before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from rolewise.errors import InputError
from rolewise.words import counted, duration


@dataclass(frozen=True)
class SearchCost:
    """The cost of one member over the whole search.

    Args:
        images: images it trains on.
        steps: optimiser steps it takes.
        validation_images: images it is scored on after each interval.
    """

    images: int = 0
    steps: int = 0
    validation_images: int = 0


@dataclass(frozen=True)
class Budget:
    """The cost of a whole search.

    Args:
        members: P.
        intervals: the number of times that members are scored.
        steps: optimiser steps, over all members.
        images: images trained on, over all members.
        validation_images: images scored on, over all members and intervals.
        seconds: estimated duration, or None where no rate is known yet.
    """

    members: int
    intervals: int
    steps: int
    images: int
    validation_images: int
    seconds: float | None = None

    def __str__(self) -> str:
        extent = f"{counted(self.members, 'member')} x {counted(self.intervals, 'interval')}"
        size = f"{extent}: {counted(self.steps, 'step')}, {counted(self.images, 'image')}"
        scored = f" and {self.validation_images:,} to score" if self.validation_images else ""
        return f"{size}{scored}, " + (
            "time known after the first interval" if self.seconds is None else duration(self.seconds)
        )


def budget(
    members: int,
    intervals: int,
    images_per_member: int,
    *,
    steps_per_member: int = 0,
    validation_images: int = 0,
    rate: float | None = None,
    workers: int = 1,
) -> Budget:
    """Returns the cost of a search.

    Args:
        members: P.
        intervals: the number of times that members are scored.
        images_per_member: images that one member trains on over the whole search.
        steps_per_member: optimiser steps of one member.
        validation_images: images for one score.
        rate: images that one worker trains on in a second, if known; scoring is counted at the same rate, although it
            is faster, so that the estimate is rather too long.
        workers: processes that train at the same time.

    Raises:
        InputError: a number is not positive.
    """
    for name, value in (("members", members), ("intervals", intervals), ("workers", workers)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if rate is not None and not rate > 0:
        raise InputError(f"rate must be positive, got {rate}; leave it out where it is not known")
    images = members * images_per_member
    scored = members * intervals * validation_images
    seconds = None if rate is None else (images + scored) / (rate * min(workers, members))
    return Budget(members, intervals, members * steps_per_member, images, scored, seconds)
