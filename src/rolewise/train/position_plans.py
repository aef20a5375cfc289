"""Plans of augmentation that belong to positions of an epoch: drawn in fixed blocks, each from a stream of its own."""

from __future__ import annotations

import torch

from rolewise.augment import Augmentation, Plan
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
