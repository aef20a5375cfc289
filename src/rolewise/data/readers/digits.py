"""scikit-learn's handwritten digits."""

from __future__ import annotations

from pathlib import Path

import torch

from rolewise.data.image_sources import ImageData, Source
from rolewise.data.reader_registry import READERS


@READERS.add("digits")
def digits(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, None]:
    """1,797 handwritten digits, 8x8, that come with scikit-learn; no test set of its own.

    Args:
        root: of no influence: the images are part of scikit-learn.
        download: of no influence.
        memory_budget_mb: of no influence; the images take 0.1 MB.

    Returns:
        The images with their labels, and None for a test set.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).div(16).mul(255).round().to(torch.uint8).unsqueeze(1)
    return ImageData(images, torch.from_numpy(bunch.target).long(), tuple(str(digit) for digit in range(10))), None
