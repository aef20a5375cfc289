"""The mosaic: a part of an image, beside parts of three others of its batch, all at their own places.

Source: Bochkovskiy et al. (2020), section 3.2, https://arxiv.org/abs/2004.10934.
Differs from source: each image keeps its place and size (scale jitter and translation are operations of their own), and
the others are seen as they are, whatever was done to the image before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.augment.geometry import Matrices
from rolewise.augment.ops import INDEX
from rolewise.augment.plan import Plan

#: Images that take part beside the image's own.
_OTHERS = 3


def partners(rows: NDArray[np.int64], count: int, group: int | None) -> NDArray[np.int64]:
    """Returns the images that follow each in its batch, the first behind the last.

    Args:
        rows: [n], images of ``count``.
        count: number of all images.
        group: B, images of a batch; the last may be smaller. None where all are one.

    Returns:
        [n, 3].
    """
    size = group or max(count, 1)
    first = rows // size * size
    held = np.minimum(size, count - first)
    following = rows - first + np.arange(1, _OTHERS + 1)[:, None]
    return np.asarray((first + following % held).T)


def rectangles(values: Matrices, draws: Matrices, height: int, width: int) -> NDArray[np.int64]:
    """Returns the parts of a mosaic: the image's own, the one beside it, the one below or above, and the one across.

    Along each axis the image keeps at least 1 - value of its side, at either end. The four numbers that are needed are
    the upper and the lower twelve bits of the two draws.

    Args:
        values: [n] in [0, 0.5], the largest fraction of a side that is given to others.
        draws: [n, 2] in [0, 1), along the row and along the column.
        height: H in pixels.
        width: W in pixels.

    Returns:
        int64 [n, 4, 4], of each of the four parts x1, y1, x2, y2, the ends not included.
    """
    upper, lower = np.divmod(draws * 4096, 1.0)
    spans = []
    for axis, side in ((0, width), (1, height)):
        kept = np.rint(side * (1 - np.clip(values, 0, 1) * upper[:, axis] / 4095)).astype(np.int64)
        first = lower[:, axis] < 0.5
        own = np.stack([np.where(first, 0, side - kept), np.where(first, kept, side)], 1)
        other = np.stack([np.where(first, kept, 0), np.where(first, side, side - kept)], 1)
        spans.append((own, other))
    (own_x, other_x), (own_y, other_y) = spans
    four = [(own_x, own_y), (other_x, own_y), (own_x, other_y), (other_x, other_y)]
    return np.stack([np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1) for x, y in four], 1)


def compose(
    seen: Tensor, originals: Tensor, rows: NDArray[np.int64], parts: NDArray[np.int64], group: int | None
) -> None:
    """Puts parts of other images into images, in place.

    Args:
        seen: [n, C, H, W], the images as they are by now.
        originals: [B, C, H, W], all images as they were.
        rows: [n], their numbers among the originals.
        parts: [n, 4, 4] of `rectangles`.
        group: images of a batch; None where all are one.
    """
    height, width = seen.shape[-2:]
    others = torch.from_numpy(partners(rows, len(originals), group)).to(originals.device)
    for number in range(_OTHERS):
        x1, y1, x2, y2 = torch.from_numpy(parts[:, number + 1].T.copy()).to(seen.device).view(4, -1, 1)
        across, down = (torch.arange(side, device=seen.device) for side in (width, height))
        inside = ((down >= y1) & (down < y2)).unsqueeze(2) & ((across >= x1) & (across < x2)).unsqueeze(1)
        seen.copy_(torch.where(inside.unsqueeze(1), originals[others[:, number]], seen))


def mosaics(plan: Plan, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Gives each slot in which a plan has mosaics, its images [n], and their parts [n, 4, 4] (see `rectangles`)."""
    ops, values, draws = (getattr(plan, name).cpu().numpy() for name in ("ops", "values", "draws"))
    for slot in range(ops.shape[1]):
        rows = np.flatnonzero(ops[:, slot] == INDEX["mosaic"])
        if len(rows):
            found = rectangles(values[rows, slot].astype(float), draws[rows, slot].astype(float), *size)
            yield slot, rows, found


def with_partners(owners: Tensor, plan: Plan, group: int | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the things that lie in images, and behind them those that mosaics bring in from other images.

    Args:
        owners: int64 [N], the image of each thing.
        plan: for the images.
        group: images of a batch; None where all are one.

    Returns:
        int64 [M] each: the numbers of the things; the image in which each is; the slot in which it came in, -1 for an
        image's own; and its part of the mosaic, 1 to 3, 0 for an image's own.
    """
    count = len(owners)
    found = [(np.arange(count), owners.cpu().numpy(), np.full(count, -1), np.zeros(count, np.int64))]
    for slot, rows, _ in mosaics(plan, (1, 1)):
        for part, others in enumerate(partners(rows, len(plan), group).T, 1):
            image, thing = np.nonzero(others[:, None] == found[0][1][None])
            found.append((thing, rows[image], np.full(len(thing), slot), np.full(len(thing), part)))
    numbers, images, born, parts = (torch.from_numpy(np.concatenate(column)) for column in zip(*found, strict=True))
    return numbers, images, born, parts
