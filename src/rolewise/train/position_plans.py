"""Plans of augmentation that belong to positions of an epoch: drawn in fixed blocks, each from a stream of its own."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from rolewise.augment import Augmentation, Plan, Schedule
from rolewise.config.training_sections import TrainSettings
from rolewise.data import Source
from rolewise.distill import Distiller
from rolewise.seeds import generator

#: Positions of an epoch that share a stream. It is part of every trained byte, and no setting.
BLOCK = 256


class PositionPlans:
    """The plans of one network's images in one epoch, whatever the size of the pieces that they are wanted in.

    Position i belongs to block i // 256, and a block is always drawn whole, from its own stream: a plan depends on
    seed, epoch and position alone, neither on chunks nor on where a training resumes.

    Args:
        policy: the distribution of the plans in this epoch.
        size: (C, H, W) of the images in pixels.
        seed: of all draws.
        names: of the stream, such as ("epoch", 3, "student").
    """

    def __init__(self, policy: Augmentation, size: tuple[int, int, int], seed: int, *names: str | int) -> None:
        self._policy, self._size, self._seed, self._names = policy, size, seed, names
        self._last: tuple[int, Plan] | None = None

    def between(self, start: int, stop: int) -> Plan:
        """Returns the plan for the positions from ``start`` to before ``stop``."""
        pieces = []
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            first = number * BLOCK
            pieces.append(self._block(number)[slice(max(start - first, 0), min(stop - first, BLOCK))])
        if len(pieces) == 1:
            return pieces[0]
        parts = [[getattr(piece, name) for piece in pieces] for name in ("ops", "values", "draws")]
        return Plan(*(torch.cat(part) for part in parts))

    def _block(self, number: int) -> Plan:
        # Pieces follow one another, so that only the last block is needed again.
        if self._last is None or self._last[0] != number:
            stream = generator(self._seed, *self._names, "block", number)
            self._last = number, self._policy.draw(BLOCK, self._size, stream)
        return self._last[1]


class RowPlans:
    """The plans of one view, which belong to examples and not to positions: an epoch that shows it again is as before.

    Args:
        plans: of the view, one for each place.
        places: int64 [M], the place of each position's example among all that are trained on.
    """

    def __init__(self, plans: PositionPlans, places: Tensor) -> None:
        self._plans, self._places = plans, places
        self._all: Plan | None = None

    def between(self, start: int, stop: int) -> Plan:
        """Returns the plan for the positions from ``start`` to before ``stop``."""
        if self._all is None:
            self._all = self._plans.between(0, int(self._places.max()) + 1)
        return self._all[self._places[start:stop]]


#: The plans of one network in one epoch.
Plans: TypeAlias = PositionPlans | RowPlans
#: Those of student and teacher; None where the teacher's examples are not augmented apart.
EpochPlans: TypeAlias = tuple[Plans, Plans | None]


class PlannedFeed(Protocol):
    """A feed of a source, as far as its plans depend on it (see `rolewise.train.image_feed.ImageFeed`)."""

    distiller: Distiller
    indices: Tensor
    settings: TrainSettings
    augmentation: Schedule
    teacher_augmentation: Schedule | None
    view: str
    views: int | None
    seed: int

    @property
    def source(self) -> Source:
        """The examples."""


def plans_of_epoch(feed: PlannedFeed, epoch: int, order: Tensor) -> EpochPlans:
    """Returns the plans of student and teacher; None where the teacher's examples are not augmented apart.

    Args:
        feed: the epoch's. Where it has a number V of views, epoch e has the plans of view e modulo V, drawn from the
            augmentation at that view's fraction of V.
        epoch: from 0.
        order: int64 [M], the examples of the epoch's positions.
    """
    size = (feed.source.channels, *feed.source.size)

    def plans(schedule: Schedule, role: str) -> Plans:
        if feed.views is None:
            policy = schedule.at(epoch / feed.settings.epochs)
            return PositionPlans(policy, size, feed.seed, "epoch", epoch, role)
        view = epoch % feed.views
        drawn = PositionPlans(schedule.at(view / feed.views), size, feed.seed, "view", view, role)
        return RowPlans(drawn, torch.searchsorted(feed.indices.sort().values, order))

    student = plans(feed.augmentation, "student")
    if feed.view != "own" or not feed.distiller.methods:
        return student, None
    assert feed.teacher_augmentation is not None
    return student, plans(feed.teacher_augmentation, "teacher")
