"""Further views that are made of a batch's images themselves, such as turned ones, where a batch does not hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.errors import InputError
from rolewise.networks import shape_or_type

#: The images turned anticlockwise by 90, 180 and 270 degrees, by the names of these views.
TURNED = ("turned90", "turned180", "turned270")


def quarter_turned(images: Any, quarters: int) -> Tensor:
    """Returns images turned anticlockwise, [B, C, H, W], or [B, C, W, H] for an odd number of quarters.

    Args:
        images: [B, C, H, W].
        quarters: number of quarter turns.

    Raises:
        InputError: they are no batch of images.
    """
    if not isinstance(images, Tensor) or images.ndim != 4:
        got = shape_or_type(images)
        raise InputError(f"images must be [B, C, H, W] for a method that turns them, got {got}; take another method")
    return torch.rot90(images, quarters, (2, 3))


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    name: partial(quarter_turned, quarters=quarters) for quarters, name in enumerate(TURNED, 1)
}


def with_made_views(batch: Batch, names: Iterable[str]) -> Batch:
    """Returns a batch with the views that can be made of its inputs.

    Args:
        batch: a view that it holds stays as it is.
        names: of the views that methods read.

    Raises:
        InputError: its inputs are no images.
    """
    made = {name: _MAKERS[name](batch.inputs) for name in names if name in _MAKERS and name not in batch.views}
    return replace(batch, views={**batch.views, **made}) if made else batch
