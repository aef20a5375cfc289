"""Augmentation by the sizes of a picture's boxes: noise where all are small, a crop elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.augment import Plan, apply
from rolewise.augment.ops import INDEX
from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.instruments.corruptions import corrupt
from rolewise.seeds import generator
from rolewise.train.moved_labels import moved_labels

#: The strength of normal noise whose deviation is 0.08 of the range, that of the source.
_NOISE = 3
#: What comes from outside a picture.
_FILL = 128


@dataclass(frozen=True)
class SampleAugmentation:
    """The noise and the crops that pictures get by the sizes of their boxes.

    Source: https://github.com/JWLiang007/IKD: noise with probability 0.3, crops whose sides are 0.8 to 1 of the
    picture's, and both for the first 16 of 24 epochs.
    Differs from source: one share for both sides, and the part becomes as large as the picture was.

    Args:
        small: side in pixels of a square; boxes of a smaller area are small.
        noisy: probability that a picture of small boxes alone gets noise.
        least: the smallest side of a crop, as a part of the picture's.
        until: fraction of the epochs after which it is switched off; 1 for never.
    """

    small: float
    noisy: float = 0.3
    least: float = 0.8
    until: float = 2 / 3


def all_small(labels: Tensor, small: float) -> Tensor:
    """Returns bool [N], the pictures whose boxes are all smaller than ``small`` pixels squared.

    Args:
        labels: packed boxes [N, M, 6].
        small: side of the square in pixels.
    """
    areas = (labels[..., 2:4] - labels[..., :2]).prod(-1)
    return ~((areas >= small**2) & (labels[..., 4] >= 0)).any(1)


def drawn_augmentation(
    labels: Tensor, augmentation: SampleAugmentation | None, *, progress: float, seed: int, epoch: int
) -> tuple[Plan, Tensor]:
    """Returns the plan of an epoch's pictures, and which of them get noise, bool [N].

    Half of all pictures are mirrored, by draws that do not depend on the augmentation.

    Args:
        labels: packed boxes [N, M, 6].
        augmentation: by size; None for mirroring alone.
        progress: fraction of the epochs that are done.
        seed: of the draws.
        epoch: number of the epoch.
    """
    count = len(labels)
    flipped = torch.rand(count, generator=generator(seed, "ikd", "epoch", epoch, "flip")) < 0.5
    draws = torch.rand(count, 4, generator=generator(seed, "ikd", "epoch", epoch, "by size"))
    ops, values, places = torch.full((count, 2), -1), torch.zeros(count, 2), torch.zeros(count, 2, 2)
    ops[flipped, 1], values[flipped, 1] = INDEX["flip"], 1.0
    noisy = torch.zeros(count, dtype=torch.bool)
    if augmentation is not None and progress < augmentation.until:
        small = all_small(labels, augmentation.small)
        noisy = small & (draws[:, 0] < augmentation.noisy)
        ops[~small, 0] = INDEX["scale"]
        values[:, 0] = -torch.log2(augmentation.least + (1 - augmentation.least) * draws[:, 1])
        places[:, 0] = draws[:, 2:]
    return Plan(ops, values, places), noisy


def augmented_batches(
    pictures: ImageData,
    beside: Tensor | None,
    augmentation: SampleAugmentation | None,
    *,
    batch_size: int,
    epoch: int,
    epochs: int,
    seed: int,
) -> Iterator[tuple[Batch, Tensor | None]]:
    """Gives the batches of an epoch, and of each the other pictures, which are moved as its own.

    Args:
        pictures: with boxes.
        beside: uint8 [N, C, H, W], a further picture of each, which gets no noise; None for none.
        augmentation: by size; None for mirroring alone.
        batch_size: pictures of a step.
        epoch: from 0.
        epochs: number of all.
        seed: of the order and the draws.
    """
    plan, noisy = drawn_augmentation(pictures.labels, augmentation, progress=epoch / epochs, seed=seed, epoch=epoch)
    order = torch.randperm(len(pictures), generator=generator(seed, "ikd", "epoch", epoch, "order"))
    noise = generator(seed, "ikd", "epoch", epoch, "noise")
    for rows in torch.split(order, batch_size):
        seen, own = pictures.images[rows], plan[rows]
        if bool(noisy[rows].any()):
            seen[noisy[rows]] = corrupt(seen[noisy[rows]], "gaussian_noise", _NOISE, noise)
        labels = moved_labels(pictures.labels[rows], own, pictures.size)
        images, others = (
            None if some is None else apply(some, own, interpolation="bilinear", fill=_FILL)
            for some in (seen, None if beside is None else beside[rows])
        )
        yield Batch(images, box_list(labels), rows), others
