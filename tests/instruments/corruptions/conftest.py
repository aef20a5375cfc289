"""Photographs that come with scikit-learn, cut into small images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor


@pytest.fixture(scope="session")
def photographs() -> Tensor:
    """uint8 [24, 3, 32, 32]."""
    random = np.random.default_rng(0)
    found = []
    for index in range(24):
        picture = load_sample_images().images[index % 2]
        side = int(random.integers(120, 400))
        top, left = (int(random.integers(0, length - side)) for length in picture.shape[:2])
        crop = Image.fromarray(picture[top : top + side, left : left + side])
        found.append(np.asarray(crop.resize((32, 32), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="session")
def pixels(photographs: Tensor) -> Tensor:
    """Three of them, float64 in [0, 1]."""
    return photographs[:3].double() / 255
