"""Class-incremental learning: digits of some classes first, then the others, and a network that gets more classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.seeds import generator
from rolewise.systems.digit_bench import DigitBench


@dataclass(frozen=True)
class ClassSteps:
    """Images and labels of two steps; old classes are 0 to k - 1 in an order that the seed draws.

    Args:
        first: all images of the old classes.
        second: all images of the new classes, and a few that are kept of the old ones.
        pool: the images of both steps.
        test: images of all classes that nobody learns from.
        old_test: those of them that are of old classes.
    """

    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]
    pool: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    old_test: tuple[Tensor, Tensor]


def class_steps(bench: DigitBench, seed: int, old: int, kept: int) -> ClassSteps:
    """Divides the images that a teacher may learn from into two steps by their classes.

    Args:
        bench: the digits of a seed.
        seed: of the order of classes, and of the images that are kept.
        old: number of old classes.
        kept: number of images of each old class that the second step has too.
    """
    draws = generator(seed, "quadratic", "classes")
    place = torch.randperm(10, generator=draws)
    images, labels = bench.pool[0], place[bench.pool[1]]
    shuffled = torch.randperm(len(labels), generator=draws)
    rows = [shuffled[labels[shuffled] == label] for label in range(10)]
    later = torch.cat([*(some[:kept] for some in rows[:old]), *rows[old:]]).sort().values
    tested = bench.test[0], place[bench.test[1]]
    known = tested[1] < old
    return ClassSteps(
        first=(images[labels < old], labels[labels < old]),
        second=(images[later], labels[later]),
        pool=(images, labels),
        test=tested,
        old_test=(tested[0][known], tested[1][known]),
    )


@torch.no_grad()
def with_more_classes(former: nn.Module, network: nn.Module) -> nn.Module:
    """Gives a network of more classes the weights of one of fewer, whose classes are its first, and returns it.

    Args:
        former: the network of fewer classes.
        network: of the same form; the weights of its further classes stay its own.
    """
    own = network.state_dict()
    for key, value in former.state_dict().items():
        if own[key].shape == value.shape:
            own[key].copy_(value)
        else:
            own[key][: len(value)].copy_(value)
    return network
