"""COCO's average precision: boxes matched to those that were found, image by image, and precision over recall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: IoU from which a box counts as found: 0.50 to 0.95.
OVERLAPS: Array = np.linspace(0.5, 0.95, 10)
_RECALLS: Array = np.linspace(0, 1, 101)
#: Kinds of a found box: right, wrong, or of no matter.
HIT, MISS, IGNORED = 1, 0, -1


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
        `HIT`, `MISS` or `IGNORED`, int8 [S, 10, D], for each range, each IoU of `OVERLAPS` and each found box; and the
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
        kinds[:, :, at] = np.where(hit, HIT, np.where(beside | beyond[:, None, at], IGNORED, MISS))
        if len(boxes):
            allowed = np.where(hit[..., None], fits, other)
            # Of equal overlaps the last box, as COCO's.
            best = len(boxes) - 1 - np.where(allowed, overlaps[at], -1.0)[..., ::-1].argmax(2)
            taken[ranges, limits, best] |= hit | beside
    return kinds, (~aside).sum(1).astype(np.float64)


def precision_and_recall(kinds: NDArray[np.int8], weights: Array, total: Array) -> tuple[Array, Array]:
    """Returns average precision and the final recall of one class.

    Precision is made to fall with recall, and read at 101 recalls from 0 to 1; 0 where they are not reached.

    Args:
        kinds: int8 [S, 10, D], over all images, the highest score first.
        weights: [D], that of each found box's image.
        total: [S], the weighted number of boxes that count.

    Returns:
        Both [S, 10]; NaN where no box counts.
    """
    hits = np.cumsum((kinds == HIT) * weights, 2)
    misses = np.cumsum((kinds == MISS) * weights, 2)
    precision, final = np.full(kinds.shape[:2], np.nan), np.full(kinds.shape[:2], np.nan)
    for place in np.argwhere(total > 0)[:, 0]:
        if not kinds.shape[2]:
            precision[place], final[place] = 0.0, 0.0
            continue
        recall = hits[place] / total[place]
        values = hits[place] / (hits[place] + misses[place] + np.spacing(1))
        values = np.maximum.accumulate(values[:, ::-1], 1)[:, ::-1]
        values = np.concatenate([values, np.zeros((len(values), 1))], 1)
        at = np.stack([np.searchsorted(row, _RECALLS, side="left") for row in recall])
        precision[place], final[place] = np.take_along_axis(values, at, 1).mean(1), recall[:, -1]
    return precision, final


def _area(boxes: Array) -> Array:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _overlaps(found: Array, boxes: Array, crowd: NDArray[np.bool_]) -> Array:
    low = np.maximum(found[:, None, :2], boxes[None, :, :2])
    high = np.minimum(found[:, None, 2:], boxes[None, :, 2:])
    inside = np.prod(np.clip(high - low, 0, None), 2)
    own, others = _area(found)[:, None], _area(boxes)[None]
    union = np.where(crowd[None], own, own + others - inside)
    return np.asarray(inside / np.where(union > 0, union, 1.0))
