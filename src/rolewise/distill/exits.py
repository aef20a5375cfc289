"""Auxiliary exits of a network: a classifier behind a stage, made of what the later stages do to a map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rolewise.distill.term import Term
from rolewise.errors import InputError
from rolewise.taps import Taps


def separable(before: int, after: int, stride: int) -> nn.Sequential:
    """Returns two depthwise separable 3x3 convolutions with batch norm and ReLU, the first of a stride.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: 1, or 2 to halve the map.
    """
    layers: list[nn.Module] = []
    for width, step in ((before, stride), (after, 1)):
        layers += [
            nn.Conv2d(width, width, 3, step, 1, groups=width, bias=False),
            nn.Conv2d(width, after, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class Exit(nn.Module):
    """A classifier behind one stage of a network.

    Args:
        shapes: of the maps [B, C, H, W] of that stage and of each later one.
        width: D, of the vector that is classified.
        classes: K.

    Raises:
        InputError: a shape is no map's.
    """

    def __init__(self, shapes: Sequence[torch.Size], width: int, classes: int) -> None:
        super().__init__()
        for shape in shapes:
            if len(shape) != 4:
                raise InputError(f"an exit must stand behind maps [B, C, H, W], got a feature of {list(shape)}")
        sizes = [(shape[1], min(shape[2:])) for shape in shapes]
        targets = [*sizes[1:-1], (width, sizes[-1][1])] if len(sizes) > 1 else [(width, max(1, sizes[0][1] // 2))]
        blocks, (before, side) = [], sizes[0]
        for after, smaller in targets:
            blocks.append(separable(before, after, 2 if smaller < side else 1))
            before, side = after, smaller
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(width, classes)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, K] and the vector [B, D] that they are of, of a map [B, C, H, W]."""
        vector = self.blocks(feature).mean((2, 3))
        return self.fc(vector), vector


class EarlyExit(nn.Module):
    """A network up to one of its exits: a smaller network that gives the exit's logits.

    Args:
        network: network with the exit's stage.
        path: of the stage.
        branch: the exit.
    """

    def __init__(self, network: nn.Module, path: str, branch: Exit) -> None:
        super().__init__()
        self.network, self.branch, self.path = network, branch, path
        self._taps = Taps(network, [path])

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images."""
        _, features = self._taps.run(partial(self.network, images))
        logits: Tensor = self.branch(features[self.path])[0]
        return logits


def early_exit(term: Term, network: nn.Module, number: int) -> EarlyExit:
    """Returns a student up to one of the exits that a method trained.

    Args:
        term: of the method, ``distiller.terms["byot"]``.
        network: the student.
        number: of the exit, from 0 for the earliest.

    Raises:
        InputError: the term has no exits, or not so many.
    """
    exits = getattr(term, "exits", None)
    if not isinstance(exits, nn.ModuleList) or not 0 <= number < len(exits):
        have = len(exits) if isinstance(exits, nn.ModuleList) else 0
        raise InputError(f"number must be that of an exit, from 0 to {have - 1}, got {number} of {have} exits")
    return EarlyExit(network, term.pairs[number][0], exits[number])  # type: ignore[arg-type]
