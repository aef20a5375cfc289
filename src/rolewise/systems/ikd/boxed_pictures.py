"""The pictures of the system: blood cells, or squares and discs that are drawn, divided by a seed, and beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import ImageData, box_list, drawn_shapes, joined_boxes, read, split
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments import Shrinking, di_fgsm
from rolewise.networks import evaluating
from rolewise.seeds import derive_seed, generator
from rolewise.tasks import Task

Data = Literal["cells", "shapes"]
#: The input of every network.
SPEC = InputSpec((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
#: Pictures of each set.
NUMBER: dict[str, int] = {"cells": 364, "shapes": 60}
#: The blood cells' place below the folder of data.
CELLS = "bccd/BCCD"


def boxed_pictures(data: Data, size: tuple[int, int], images: int, seed: int) -> tuple[ImageData, ImageData]:
    """Returns pictures with boxes to learn from and to test on; both parts have each main class in its share.

    Source of the cells: BCCD, https://github.com/Shenggan/BCCD_Dataset, its three parts together.

    Args:
        data: ``cells``, read from ROLEWISE_DATA, or ``shapes``.
        size: height and width that pictures are brought to.
        images: number of pictures to learn from.
        seed: of the division; drawn shapes are the same for all seeds.
    """
    whole = _cells(size) if data == "cells" else drawn_shapes(NUMBER[data], size, generator(0, "ikd", "shapes"))
    rest = len(whole) - images
    parts = split(whole.labels, validation=0, test=rest, seed=derive_seed(seed, "ikd", "division"))
    learned, tested = (
        ImageData(whole.images[rows], whole.labels[rows], whole.classes) for rows in (parts.train, parts.test)
    )
    return learned, tested


def _cells(size: tuple[int, int]) -> ImageData:
    found = read("voc_detection", folder=CELLS, train="trainval", test="test", size=list(size), resize="squash")
    assert found.test is not None
    parts: Sequence = found.train, found.test
    images = torch.cat([part.batch(torch.arange(len(part))) for part in parts])
    return ImageData(images, joined_boxes([part.labels for part in parts]), found.train.classes)


def adversarial_pictures(
    teacher: nn.Module,
    pictures: ImageData,
    task: Task,
    *,
    radius: int,
    steps: int,
    draws: torch.Generator,
    batch_size: int = 25,
) -> Tensor:
    """Returns pictures near the given ones that raise the teacher's loss of classification, by `di_fgsm`.

    Args:
        teacher: a dense detector; it runs in eval mode.
        pictures: with boxes.
        task: detection; the loss is its ``labels``.
        radius: of the ball in the maximum norm, in grey levels.
        steps: number of steps.
        draws: of sizes and places.
        batch_size: pictures at once.

    Returns:
        uint8 [N, C, H, W].
    """

    def attacked(rows: Tensor) -> Tensor:
        targets = box_list(pictures.labels[rows])

        def loss(images: Tensor, shrinking: Shrinking) -> Tensor:
            batch = Batch(prepare(images, SPEC), shrinking.boxes(targets, pictures.size))
            return task.losses(task.run(teacher, batch.inputs), batch)["labels"]

        moved = di_fgsm(pictures.images[rows], loss, epsilon=radius / 255, steps=steps, generator=draws)
        return (moved * 255).round().to(torch.uint8)

    with evaluating(teacher):
        return torch.cat([attacked(rows) for rows in torch.split(torch.arange(len(pictures)), batch_size)])


def noisy_pictures(images: Tensor, radius: int, draws: torch.Generator) -> Tensor:
    """Returns pictures at the corners of the same ball that are drawn and not found, uint8: the attack's control.

    Args:
        images: uint8 [N, C, H, W].
        radius: in grey levels.
        draws: of the corners.
    """
    signs = torch.randint(0, 2, images.shape, generator=draws, dtype=torch.int16) * 2 - 1
    return (images.to(torch.int16) + radius * signs).clamp(0, 255).to(torch.uint8)
