"""Batches that a generator makes out of noise: a training that reads no image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from rolewise.batch import Batch
from rolewise.distill.running import unmoved
from rolewise.networks import device_of
from rolewise.seeds import check_seed
from rolewise.seeds import generator as stream_of
from rolewise.train.given import check_count

#: The name of the view that holds a batch's noise, which the generator's own update makes its images of.
NOISE = "noise"


class GeneratedFeed:
    """A `Feed` of generated images; the noise of each batch is in its view ``noise``.

    Images are made by the generator as it is when a step begins, and the noise belongs to the place of the batch in
    the training: one that is resumed sees the same images.

    Args:
        generator: noise [B, Z] -> images [B, C, H, W].
        noise: Z.
        batch_size: B, at least 2; also that of the training's settings.
        steps: batches of one epoch.
        seed: of the noise.
        repeats: steps that use the same noise, one after another.

    Raises:
        InputError: a number is out of its range.
    """

    def __init__(
        self, generator: nn.Module, *, noise: int, batch_size: int, steps: int, seed: int, repeats: int = 1
    ) -> None:
        for name, value, least in (
            ("noise", noise, 1),
            ("batch_size", batch_size, 2),
            ("steps", steps, 1),
            ("repeats", repeats, 1),
        ):
            check_count(name, value, least=least)
        check_seed("seed", seed)
        self.generator, self.noise, self.batch_size, self.seed = generator, noise, batch_size, seed
        self.repeats, self.steps = repeats, steps
        self.counts: dict[str, int] = {}

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on.

        Args:
            epoch: from 0.
            start: the first batch, from 0.
        """
        for place in range(start, self.steps):
            number = (epoch * self.steps + place) // self.repeats
            noise = torch.randn(self.batch_size, self.noise, generator=stream_of(self.seed, "generated", number))
            noise = noise.to(device_of(self.generator))
            with torch.no_grad(), unmoved([self.generator]):
                images = self.generator(noise)
            yield Batch(images, views={NOISE: noise})
