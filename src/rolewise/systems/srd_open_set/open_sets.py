"""Labelled digits of some classes beside unlabelled ones of these or other classes, and a student of both at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.distill import Distiller, Method
from rolewise.errors import Interrupted
from rolewise.jobs.job import JobContext
from rolewise.seeds import derive_seed, generator
from rolewise.systems.digit_bench import CosineAdam, DigitBench

#: The learning rate of Adam at the start of its cosine.
_RATE = 0.02


@dataclass(frozen=True)
class OpenSets:
    """Images of the closed set with labels 0 to K - 1, and unlabelled images of both sets.

    Args:
        pool: images and labels of the closed set that the teacher learns from.
        labelled: those of them that a student has labels of.
        test: images and labels of the closed set that nobody learns from.
        within: further images of the closed set [N, 1, 8, 8], without labels.
        outside: images of the open set, without labels.
    """

    pool: tuple[Tensor, Tensor]
    labelled: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    within: Tensor
    outside: Tensor


def open_sets(bench: DigitBench, seed: int, closed: Sequence[int], opened: Sequence[int], labelled: int) -> OpenSets:
    """Divides the digits into a closed set and an open one.

    Args:
        bench: the digits of a seed.
        seed: of the images that have labels.
        closed: classes of the closed set, in the order of their labels.
        opened: classes of the open set.
        labelled: labelled images of each class.
    """
    place = torch.full((10,), -1)
    place[list(closed)] = torch.arange(len(closed))

    def known(examples: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        labels = place[examples[1]]
        return examples[0][labels >= 0], labels[labels >= 0]

    draws = generator(seed, "open set", "images")
    images, labels = known(bench.pool)
    order = torch.randperm(len(labels), generator=draws)
    rows = [order[labels[order] == label] for label in range(len(closed))]
    first = torch.cat([some[:labelled] for some in rows])
    others = torch.cat([some[labelled:] for some in rows])
    others = others[torch.randperm(len(others), generator=draws)]
    outside = bench.pool[0][torch.isin(bench.pool[1], torch.tensor(list(opened)))]
    outside = outside[torch.randperm(len(outside), generator=draws)]
    return OpenSets((images, labels), (images[first], labels[first]), known(bench.test), images[others], outside)


def trained_on_both(
    student: nn.Module,
    teacher: nn.Module,
    methods: Sequence[Method],
    labelled: tuple[Tensor, Tensor],
    unlabelled: Tensor,
    context: JobContext,
    *,
    steps: int,
    batch: int,
    seed: int,
) -> nn.Module:
    """Trains a student on labels, and distils on labelled and unlabelled images in one forward pass.

    Norms over the batch see both kinds of images, in each step as many of the one as of the other where there are any.

    Args:
        student: it is trained in place.
        teacher: the frozen network.
        methods: of distillation; none for labels alone.
        labelled: images and labels.
        unlabelled: images [N, 1, 8, 8], or none of them.
        context: the surroundings; a stop ends the training.
        steps: number of steps.
        batch: labelled images of a step, and unlabelled ones.
        seed: of the order of both kinds, and of learned maps.
    """
    example, first = labelled[0][:2], derive_seed(seed, "open set", "maps")
    distiller = Distiller(teacher, student, methods, label_weight=0.0, example=example, generator=first).train()
    optimizer = CosineAdam(distiller, _RATE, steps)
    kinds = (len(labelled[1]), "labelled"), (len(unlabelled), "unlabelled")
    orders = [_endless(count, batch, generator(seed, "open set", "order", name)) for count, name in kinds]
    for step in range(steps):
        if context.should_stop():
            raise Interrupted("stopped while a network was trained")
        rows, others = (next(order) for order in orders)
        terms = distiller(torch.cat([labelled[0][rows], unlabelled[others]]), progress=step / steps)
        logits = terms.outputs["student"].logits
        optimizer.step(terms.total + F.cross_entropy(logits[: len(rows)], labelled[1][rows]))
        distiller.after_step()
    return student.eval()


def _endless(count: int, size: int, draws: torch.Generator) -> Iterator[Tensor]:
    """Gives rows of shuffled passes, as many in each batch; no rows where there are none."""
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while count and len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=draws)])
        yield waiting[:size]
        waiting = waiting[size:]
