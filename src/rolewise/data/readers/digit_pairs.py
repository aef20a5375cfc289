"""Pairs of scikit-learn's handwritten digits, side by side: several labels of an image, or a number to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch

from rolewise.data.arguments import one_of
from rolewise.data.image_sources import ImageData, Source
from rolewise.data.reader_registry import READERS
from rolewise.data.readers.digits import digits

#: Of the draw of who stands beside whom, which is part of the data set.
_SEED = 10


@READERS.add("digit_pairs")
def digit_pairs(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    targets: Annotated[str, one_of("labels", "numbers")] = "labels",
) -> tuple[Source, None]:
    """898 pairs of handwritten digits, 8x16: which of the ten digits each shows (labels), or their sum (numbers).

    Every digit stands in one pair, so that no picture is trained on and tested on. One digit is left over.

    Args:
        root: of no influence.
        download: of no influence.
        memory_budget_mb: of no influence.
        targets: labels for the digits of a pair, numbers for their sum.
    """
    source, _ = digits(root, download, memory_budget_mb)
    count = len(source) // 2
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(_SEED))
    first, second = order[:count], order[count : 2 * count]
    images = torch.cat([source.batch(first), source.batch(second)], 3)
    shown = source.labels[first], source.labels[second]
    if targets == "numbers":
        return ImageData(images, (shown[0] + shown[1]).float()[:, None], ("sum",)), None
    there = torch.zeros(count, len(source.classes), dtype=torch.uint8)
    for labels in shown:
        there[torch.arange(count), labels] = 1
    return ImageData(images, there, source.classes), None
