"""Pictures of some of their frequencies alone, and what a detector still finds in them, by the size of boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rolewise.data import ImageData
from rolewise.systems.ikd.boxed_pictures import SPEC
from rolewise.systems.system import Row
from rolewise.tasks import Task
from rolewise.train import evaluate

#: The share of average precision that is kept, of small boxes less that of large ones.
KEPT = "small_less_large"
WHOLE = "as they are"


def band_name(radius: float, *, low: bool) -> str:
    """Returns the name of pictures of low or of high frequencies."""
    return f"{'below' if low else 'above'} {radius:g}"


def of_band(images: Tensor, radius: float, *, low: bool) -> Tensor:
    """Returns pictures of the frequencies below or above a radius; the mean of each channel stays in both.

    Args:
        images: uint8 [N, C, H, W].
        radius: as a part of the highest frequency along an axis, half a period in a pixel.
        low: whether frequencies up to the radius are kept, or those above it.

    Returns:
        uint8, cut off at 0 and 255.
    """
    height, width = images.shape[2:]
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    distance = 2 * (rows.square() + columns.square()).sqrt()
    kept = (distance <= radius) if low else (distance > radius)
    kept[0, 0] = True
    waves = torch.fft.rfft2(images.float())
    found: Tensor = torch.fft.irfft2(waves * kept, s=(height, width))
    return found.round().clamp(0, 255).to(torch.uint8)


def ap_by_size(network: nn.Module, pictures: ImageData, task: Task) -> Row:
    """Returns a detector's average precisions that are known: a size of which no box is there has none.

    Args:
        network: a detector.
        pictures: with boxes.
        task: detection.
    """
    values = evaluate(network, pictures, torch.arange(len(pictures)), SPEC, task=task, batch_size=32).values
    return {key: value for key, value in values.items() if key.startswith("ap") and math.isfinite(value)}


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
            part = ImageData(of_band(pictures.images, radius, low=low), pictures.labels, pictures.classes)
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
