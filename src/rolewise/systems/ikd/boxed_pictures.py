"""The pictures of the system: blood cells, or squares and discs that are drawn, divided by a seed."""

from __future__ import annotations

from typing import Literal

import torch

from rolewise.data import ImageData, drawn_shapes, joined_boxes, read, split
from rolewise.inputs import InputSpec
from rolewise.seeds import derive_seed, generator

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
    parts = found.train, found.test
    images = torch.cat([part.batch(torch.arange(len(part))) for part in parts])
    return ImageData(images, joined_boxes([part.labels for part in parts]), found.train.classes)
