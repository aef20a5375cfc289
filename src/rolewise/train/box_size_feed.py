"""Batches of images with boxes that are augmented by the size of their boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rolewise.augment import BoxSizeAugmentation, Plan, apply, in_turn
from rolewise.augment.ops import INDEX
from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.train.moved_labels import moved_labels

#: The name of the view that holds the images beside those of a batch.
BESIDE = "beside"
#: What comes from outside an image, and the probability that one is mirrored.
_FILL, _MIRRORED = 128, 0.5


class BoxSizeFeed:
    """A `Feed` of images with boxes: half of them mirrored, and changed by the size of their boxes.

    Mirroring and order do not depend on the augmentation, so that trainings with and without it see the same.

    Args:
        images: with boxes, held in memory.
        batch_size: B.
        epochs: number of all epochs, whose fractions the augmentation's end is counted in.
        draws: returns the generator of a stream by its names (`rolewise.seeds.generator` with a seed).
        augmentation: by size; None for mirroring alone.
        noise: returns uint8 images with noise, given some and a generator; called where the augmentation wants it.
        beside: uint8 [N, C, H, W], a further picture of each image, which is moved as it is and gets no noise; it is
            the view ``beside`` of a batch. None for none.
    """

    def __init__(
        self,
        images: ImageData,
        batch_size: int,
        epochs: int,
        draws: Callable[..., torch.Generator],
        *,
        augmentation: BoxSizeAugmentation | None = None,
        noise: Callable[[Tensor, torch.Generator], Tensor] = lambda images, draws: images,
        beside: Tensor | None = None,
    ) -> None:
        self.images, self.batch_size, self.epochs, self.draws = images, batch_size, epochs, draws
        self.augmentation, self.noise, self.beside = augmentation, noise, beside
        self.steps = -(-len(images) // batch_size)
        self.counts: dict[str, int] = {}

    def plan(self, epoch: int) -> tuple[Plan, Tensor]:
        """Returns the plan of an epoch's images, and which of them get noise, bool [N].

        Args:
            epoch: from 0.
        """
        count = len(self.images)
        mirrored = torch.rand(count, 1, generator=self.draws("epoch", epoch, "flip")) < _MIRRORED
        ops = torch.where(mirrored, INDEX["flip"], -1)
        flips = Plan(ops, mirrored.float(), torch.zeros(count, 1, 2))
        if self.augmentation is None:
            return flips, torch.zeros(count, dtype=torch.bool)
        by_size = self.draws("epoch", epoch, "by size")
        crops, noisy = self.augmentation.draw(self.images.labels, epoch / self.epochs, by_size)
        return in_turn(crops, flips), noisy

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on.

        Args:
            epoch: from 0.
            start: the first batch, from 0.
        """
        plan, noisy = self.plan(epoch)
        order = torch.randperm(len(self.images), generator=self.draws("epoch", epoch, "order"))
        noise = self.draws("epoch", epoch, "noise")
        for number, rows in enumerate(torch.split(order, self.batch_size)):
            seen, own = self.images.images[rows], plan[rows]
            if bool(noisy[rows].any()):
                # Also in a batch that is left out: the noise of later ones follows on it.
                seen[noisy[rows]] = self.noise(seen[noisy[rows]], noise)
            if number < start:
                continue
            labels = moved_labels(self.images.labels[rows], own, self.images.size)
            views = {} if self.beside is None else {BESIDE: _moved(self.beside[rows], own)}
            yield Batch(_moved(seen, own), box_list(labels), rows, views)


def _moved(images: Tensor, plan: Plan) -> Tensor:
    return apply(images, plan, interpolation="bilinear", fill=_FILL)
