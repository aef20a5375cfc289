"""The average precisions of a detector by the size of boxes, on pictures of all or of some of their frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from rolewise.data import ImageData
from rolewise.instruments import frequency_band
from rolewise.systems.ikd.boxed_pictures import SPEC
from rolewise.systems.system import Row
from rolewise.tasks import Task
from rolewise.train import evaluate

#: The share of average precision that is kept, of small boxes less that of large ones.
KEPT = "small_less_large"
WHOLE = "as they are"
_KEYS = ("ap", "ap50", "ap_small", "ap_medium", "ap_large")


def band_name(radius: float, *, low: bool) -> str:
    """Returns the name of pictures of low or of high frequencies."""
    return f"{'below' if low else 'above'} {radius:g}"


def ap_by_size(network: nn.Module, pictures: ImageData, task: Task) -> Row:
    """Returns a detector's average precisions that are known: a size of which no box is there has none.

    Args:
        network: a detector.
        pictures: with boxes.
        task: detection.
    """
    values = evaluate(network, pictures, torch.arange(len(pictures)), SPEC, task=task, batch_size=32).values
    return {key: values[key] for key in _KEYS if math.isfinite(values[key])}


def rows_of_bands(network: nn.Module, pictures: ImageData, task: Task, radii: Sequence[float]) -> list[Row]:
    """Returns a detector's average precisions on pictures as they are, and on those of low and high frequencies.

    Args:
        network: a detector.
        pictures: with boxes.
        task: detection.
        radii: of the bands.
    """
    clean = ap_by_size(network, pictures, task)
    rows = [{"pictures": WHOLE, **clean, **_kept(clean, clean)}]
    for low in (True, False):
        for radius in radii:
            part = ImageData(frequency_band(pictures.images, radius, low=low), pictures.labels, pictures.classes)
            found = ap_by_size(network, part, task)
            rows.append({"pictures": band_name(radius, low=low), **found, **_kept(found, clean)})
    return rows


def _kept(found: Row, clean: Row) -> Row:
    """Returns the difference of kept shares; nothing where boxes of a size are not found in whole pictures either."""
    sizes = "ap_small", "ap_large"
    if not all(clean.get(size) and size in found for size in sizes):
        return {}
    small, large = (found[size] / clean[size] for size in sizes)
    return {KEPT: small - large}
