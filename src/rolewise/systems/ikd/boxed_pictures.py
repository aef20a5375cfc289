"""The pictures of the system: blood cells, or squares and discs that are drawn, divided by a seed."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rolewise.data import ImageData, packed_boxes, read, split
from rolewise.data.download import data_root
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.seeds import derive_seed, generator

Data = Literal["cells", "shapes"]
#: The input of every network.
SPEC = InputSpec((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
#: Pictures of each set.
NUMBER: dict[str, int] = {"cells": 364, "shapes": 60}
_FOLDER = "bccd/BCCD"
#: Sides of drawn shapes, as parts of the picture's height: small and large ones.
_SMALL, _LARGE = (0.12, 0.22), (0.45, 0.6)


def boxed_pictures(data: Data, size: tuple[int, int], images: int, seed: int) -> tuple[ImageData, ImageData]:
    """Returns pictures with boxes to learn from and to test on; both parts have each main class in its share.

    Source of the cells: BCCD, https://github.com/Shenggan/BCCD_Dataset, its three parts together.

    Args:
        data: ``cells``, read from ROLEWISE_DATA, or ``shapes``.
        size: height and width that pictures are brought to.
        images: number of pictures to learn from.
        seed: of the division; drawn shapes are the same for all seeds.
    """
    whole = _cells(size) if data == "cells" else _shapes(size)
    rest = len(whole) - images
    parts = split(whole.labels, validation=0, test=rest, seed=derive_seed(seed, "ikd", "division"))
    learned, tested = (
        ImageData(whole.images[rows], whole.labels[rows], whole.classes) for rows in (parts.train, parts.test)
    )
    return learned, tested


def check_cells_are_there() -> None:
    """Raises InputError where the blood cells are not in the folder of data."""
    if not (data_root(None) / _FOLDER / "ImageSets" / "Main").is_dir():
        raise InputError(
            f"data must be shapes where there are no blood cells: {data_root(None)} has no {_FOLDER}; put BCCD there "
            "(ROLEWISE_DATA names another folder), or take --set data=shapes"
        )


def _cells(size: tuple[int, int]) -> ImageData:
    found = read("voc_detection", folder=_FOLDER, train="trainval", test="test", size=list(size), resize="squash")
    assert found.test is not None
    parts = found.train, found.test
    most = max(part.labels.shape[1] for part in parts)
    labels = []
    for part in parts:
        filler = part.labels.new_zeros(len(part), most - part.labels.shape[1], part.labels.shape[2])
        filler[:, :, 4] = -1
        labels.append(torch.cat([part.labels, filler], 1))
    images = torch.cat([part.batch(torch.arange(len(part))) for part in parts])
    return ImageData(images, torch.cat(labels), found.train.classes)


def _shapes(size: tuple[int, int]) -> ImageData:
    """Draws grey squares and discs on noise; every third picture has small ones alone, the others a large one too."""
    high, wide = size
    draws = generator(0, "ikd", "shapes")
    images = torch.randint(0, 60, (NUMBER["shapes"], 3, high, wide), generator=draws, dtype=torch.uint8)
    down, across = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    boxes = []
    for at, image in enumerate(images):
        found, labels = [], []
        for low, most in [*([_LARGE] if at % 3 else []), _SMALL, _SMALL]:
            chosen = torch.rand(4, generator=draws)
            side = round(float(low + (most - low) * chosen[0]) * high)
            y, x = int(chosen[1] * (high - side)), int(chosen[2] * (wide - side))
            label = int(chosen[3] * 2)
            image[:, _inside(down - y, across - x, side, disc=label == 1)] = 160 + 40 * label
            found.append([x, y, x + side, y + side])
            labels.append(label)
        boxes.append((np.array(found, float), labels, [False] * len(labels)))
    return ImageData(images, packed_boxes(boxes), ("square", "disc"))


def _inside(down: Tensor, across: Tensor, side: int, *, disc: bool) -> Tensor:
    """Returns bool [H, W], the pixels of a shape whose upper left corner is the origin."""
    if disc:
        return (down - side / 2).square() + (across - side / 2).square() <= (side / 2) ** 2
    return (down >= 0) & (down < side) & (across >= 0) & (across < side)
