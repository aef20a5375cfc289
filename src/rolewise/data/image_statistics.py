"""Mean and standard deviation of images' channels, counted in whole numbers a few images at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import torch
from torch import Tensor

from rolewise.data.image_sources import Source
from rolewise.errors import InputError

#: Bytes of images that are read at once, or one image where that is more.
_PIECE = 1 << 22


def channel_statistics(source: Source, indices: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns each channel's mean and standard deviation over all pixels of some images of a source.

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
    pieces = torch.split(indices, max(1, _PIECE // (source.channels * height * width)))
    return statistics_of_channels(source.batch(piece) for piece in pieces)


def statistics_of_channels(pieces: Iterable[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Returns each channel's mean and standard deviation over all pixels.

    .. math:: \mu_c = \frac{1}{n} \sum_i x_{ic}, \quad
        \sigma_c = \sqrt{\frac{\sum_i x_{ic}^2 - n \mu_c^2}{n - 1}}

    Sums are whole numbers and exact: neither the order of the images nor the size of the pieces matters.

    Args:
        pieces: uint8 images [n, C, H, W] of one size, a few at a time; at least one image in all.

    Returns:
        C means and C standard deviations, of pixels in [0, 1].

    Raises:
        InputError: there is no image.
    """
    total, squares, count = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64), 0
    for pixels in pieces:
        total = total + pixels.sum((0, 2, 3), dtype=torch.int64).cpu()
        squares = squares + pixels.to(torch.int32).square_().sum((0, 2, 3), dtype=torch.int64).cpu()
        count += pixels[:, 0].numel()
    if not count:
        raise InputError("pieces must hold at least one image, got none: a mean needs images")
    mean = tuple(float(Fraction(value, 255 * count)) for value in total.tolist())
    # Divided once, at the very end: float(Fraction) is the nearest double.
    spread = tuple(
        math.sqrt(Fraction(count * square - value * value, 255**2 * count * max(1, count - 1)))
        for value, square in zip(total.tolist(), squares.tolist(), strict=True)
    )
    return mean, spread
