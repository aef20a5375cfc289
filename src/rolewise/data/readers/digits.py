"""scikit-learn's handwritten digits."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch

from rolewise.data.image_sources import ImageData, Source
from rolewise.data.reader_registry import READERS

#: The place of the digits in scikit-learn's folder: a line for each image, 64 values of 0 to 16, then the class.
_FILE = "datasets/data/digits.csv.gz"


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
    table = torch.from_numpy(_table())
    images = table[:, :-1].reshape(-1, 8, 8).div(16).mul(255).round().to(torch.uint8).unsqueeze(1)
    return ImageData(images, table[:, -1].long(), tuple(str(digit) for digit in range(10))), None


def _table() -> np.ndarray:
    """Returns pixels and classes, float64 [1797, 65], from scikit-learn's own file where it is in its place.

    To import the library for a table of numbers takes a second and a half in every process that trains.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(folder) / _FILE
        if path.is_file():
            with gzip.open(path, "rt", encoding="ascii") as file:
                return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])
