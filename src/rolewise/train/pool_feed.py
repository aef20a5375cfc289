"""Batches out of the pool of images that a FastDFKD objective makes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from rolewise.batch import Batch
from rolewise.distill.running import unmoved
from rolewise.seeds import check_seed
from rolewise.seeds import generator as stream_of
from rolewise.train.fast_dfkd import FastDFKDObjective
from rolewise.train.given import check_count
from rolewise.train.moved_images import cropped_and_mirrored


class PoolFeed:
    """A `Feed` of images out of a `FastDFKDObjective`'s pool, each cropped and mirrored.

    Before the first round images are the generator's of noise. Which images a batch shows belongs to its place in the
    training and to the pool at that moment: a training that is resumed sees the same.

    Args:
        objective: the maker of the images.
        batch_size: B, at least 2; also that of the training's settings.
        steps: batches of one epoch.
        seed: of the choice.

    Raises:
        InputError: a number is out of its range.
    """

    def __init__(self, objective: FastDFKDObjective, *, batch_size: int, steps: int, seed: int) -> None:
        check_count("batch_size", batch_size, least=2)
        check_count("steps", steps, least=1)
        check_seed("seed", seed)
        self.objective, self.batch_size, self.seed, self.steps = objective, batch_size, seed, steps
        self.counts: dict[str, int] = {}

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on.

        Args:
            epoch: from 0.
            start: the first batch, from 0.
        """
        own = self.objective
        for place in range(start, self.steps):
            draws = stream_of(self.seed, "pool", epoch * self.steps + place)
            there = min(int(own.made), own.rounds) * own.batch_size
            with torch.no_grad():
                if there:
                    rows = torch.randint(there, (self.batch_size,), generator=draws).to(own.pool.device)
                    images = own.pool[rows]
                else:
                    noise = torch.randn(self.batch_size, own.noise, generator=draws).to(own.pool.device)
                    with unmoved([own.generator]):
                        images = own.generator(noise)
                images = cropped_and_mirrored(images, draws, padding=own.padding, mirrored=own.mirrored)
            yield Batch(images)
