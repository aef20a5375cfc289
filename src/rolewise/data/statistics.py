"""Mean and standard deviation of images' channels, counted in whole numbers a few images at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from rolewise.data.images import Source
from rolewise.errors import InputError

#: Bytes of images that are read at once, or one image where that is more.
_PIECE = 1 << 22


def channel_statistics(source: Source, indices: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Returns each channel's mean and standard deviation over all pixels of some images.

    .. math:: \mu_c = \frac{1}{n} \sum_i x_{ic}, \quad
        \sigma_c = \sqrt{\frac{\sum_i x_{ic}^2 - n \mu_c^2}{n - 1}}

    Sums are whole numbers and exact: neither the order of the images nor how many are read at once matters.

    Args:
        source: the images, grey levels 0 to 255.
        indices: int64 [N], which of them, at least one.

    Returns:
        C means and C standard deviations, of pixels in [0, 1].

    Raises:
        InputError: there is no image.
    """
    if not len(indices):
        raise InputError("indices must name at least one image, got none: a mean needs images")
    height, width = source.size
    count = len(indices) * height * width
    total = torch.zeros(source.channels, dtype=torch.int64)
    squares = torch.zeros_like(total)
    for part in torch.split(indices, max(1, _PIECE // (source.channels * height * width))):
        pixels = source.batch(part)
        total += pixels.sum((0, 2, 3), dtype=torch.int64).cpu()
        squares += pixels.to(torch.int32).square_().sum((0, 2, 3), dtype=torch.int64).cpu()
    mean = tuple(float(Fraction(one, 255 * count)) for one in total.tolist())
    # Divided once, at the very end: float(Fraction) is the nearest double.
    spread = tuple(
        math.sqrt(Fraction(count * square - one * one, 255**2 * count * max(1, count - 1)))
        for one, square in zip(total.tolist(), squares.tolist(), strict=True)
    )
    return mean, spread
