"""COCO's average precision: boxes matched to those that were found, image by image, and precision over recall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: IoU from which a box counts as found: 0.50 to 0.95.
OVERLAPS: Array = np.linspace(0.5, 0.95, 10)
_RECALLS: Array = np.linspace(0, 1, 101)
#: Kinds of a found box: right, wrong, or of no matter.
HIT, MISS, LEFT_OUT = 1, 0, -1


def matched(found: Array, boxes: Array, crowd: NDArray[np.bool_], areas: Array) -> tuple[NDArray[np.int8], Array]:
    """Matches the boxes that were found in an image to its boxes of one class.

    The found ones choose in turn: the box with the highest IoU, at least the threshold, that is not taken yet and
    counts; failing that, one that does not count, and a crowd is never taken. The overlap with a crowd is the share of
    the found box that is in it. Boxes outside a range of areas do not count, nor do found ones there that match none.

    Source: COCO's evaluation, https://cocodataset.org/#detection-eval.

    Args:
        found: [D, 4], the highest score first.
        boxes: [M, 4].
        crowd: bool [M].
        areas: [S, 2], ranges in square pixels, both ends in them.

    Returns:
        `HIT`, `MISS` or `LEFT_OUT`, int8 [S, 10, D], for each range, each IoU of `OVERLAPS` and each found box; and the
        boxes that count, double [S].
    """
    sizes = _area(boxes)
    aside = crowd[None] | (sizes[None] < areas[:, :1]) | (sizes[None] > areas[:, 1:])
    overlaps = _overlaps(found, boxes, crowd)
    taken = np.zeros((len(areas), len(OVERLAPS), len(boxes)), bool)
    kinds = np.full((len(areas), len(OVERLAPS), len(found)), MISS, np.int8)
    least = np.minimum(OVERLAPS, 1 - 1e-10)[None, :, None]
    ranges, limits = np.ogrid[: len(areas), : len(OVERLAPS)]
    beyond = (_area(found)[None] < areas[:, :1]) | (_area(found)[None] > areas[:, 1:])
    for at in range(len(found)):
        free = (overlaps[at] >= least) & (~taken | crowd)
        fits, other = free & ~aside[:, None], free & aside[:, None]
        hit, beside = fits.any(2), other.any(2)
        kinds[:, :, at] = np.where(hit, HIT, np.where(beside | beyond[:, None, at], LEFT_OUT, MISS))
        if len(boxes):
            allowed = np.where(hit[..., None], fits, other)
            # Of equal overlaps the last box, as COCO's.
            best = len(boxes) - 1 - np.where(allowed, overlaps[at], -1.0)[..., ::-1].argmax(2)
            taken[ranges, limits, best] |= hit | beside
    return kinds, (~aside).sum(1).astype(np.float64)


def precision_and_recall(hits: Array, misses: Array, weights: Array, total: float) -> tuple[Array, Array]:
    """Returns average precision and the final recall of one class and range of areas.

    Precision is made to fall with recall, and read at 101 recalls from 0 to 1; 0 where they are not reached.

    Args:
        hits: [10, D] of 0 and 1, over all images, the highest score first.
        misses: [10, D], likewise; what is neither is of no matter.
        weights: [D], that of each found box's image.
        total: the weighted number of boxes that count.

    Returns:
        Both [10]; NaN where no box counts.
    """
    if total <= 0:
        return np.full(len(hits), np.nan), np.full(len(hits), np.nan)
    if not hits.shape[1]:
        return np.zeros(len(hits)), np.zeros(len(hits))
    right, wrong = np.cumsum(hits * weights, 1), np.cumsum(misses * weights, 1)
    precision, recall = np.zeros((len(hits), hits.shape[1] + 1)), right / total
    precision[:, :-1] = np.maximum.accumulate((right / (right + wrong + np.spacing(1)))[:, ::-1], 1)[:, ::-1]
    values = [row[np.searchsorted(reached, _RECALLS)] for row, reached in zip(precision, recall, strict=True)]
    return np.stack(values).mean(1), recall[:, -1]


def _area(boxes: Array) -> Array:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _overlaps(found: Array, boxes: Array, crowd: NDArray[np.bool_]) -> Array:
    low = np.maximum(found[:, None, :2], boxes[None, :, :2])
    high = np.minimum(found[:, None, 2:], boxes[None, :, 2:])
    inside = np.prod(np.clip(high - low, 0, None), 2)
    own, others = _area(found)[:, None], _area(boxes)[None]
    union = np.where(crowd[None], own, own + others - inside)
    return np.asarray(inside / np.where(union > 0, union, 1.0))
