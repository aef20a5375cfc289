"""Validation images that a data set sets aside itself, instead of those that are drawn for each seed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rolewise.data.image_sources import ImageData, Source, StreamedFiles


def own_validation(source: Source) -> Tensor | None:
    """Returns the examples that a data set itself sets aside for validation, int64; None where it sets none aside."""
    return getattr(source, "validating", None)


def trained_rows(source: Source) -> Tensor:
    """Returns the examples, int64 and ascending, that a data set does not set aside for validation."""
    others = torch.ones(len(source), dtype=torch.bool)
    if (own := own_validation(source)) is not None:
        others[own] = False
    return others.nonzero().view(-1)


def marked_validation(source: Source, count: int) -> Source:
    """Returns the same images, of which the last ones validate.

    Args:
        source: images in memory or image files.
        count: the number that validate; 0 for none.
    """
    if not count:
        return source
    rows = torch.arange(len(source) - count, len(source))
    if isinstance(source, ImageData):
        return replace(source, validating=rows)
    assert isinstance(source, StreamedFiles)
    source.validating = rows
    return source
