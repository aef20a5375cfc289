"""Metrics of detection: COCO's average precision and recall, from the matches of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.metric_info import MetricInfo
from rolewise.tasks.average_precision import HIT, LEFT_OUT, MISS, OVERLAPS, Array, matched, precision_and_recall

DETECTION_METRICS = (
    MetricInfo("ap", "COCO AP", "fraction"),
    MetricInfo("ap50", "AP at IoU 0.50", "fraction"),
    MetricInfo("ap75", "AP at IoU 0.75", "fraction"),
    MetricInfo("ap_small", "AP of small boxes", "fraction"),
    MetricInfo("ap_medium", "AP of medium boxes", "fraction"),
    MetricInfo("ap_large", "AP of large boxes", "fraction"),
    MetricInfo("recall", "recall of 100 boxes", "fraction"),
)
#: Boxes of one class in an image that count, by their score.
_MOST = 100
#: The places of the IoUs 0.50 and 0.75.
_HALF, _THREE_QUARTERS = 0, 5
#: Hits and misses [10, D] of a range of areas, and the image [D] of each found box.
_RANGE = tuple[Array, Array, NDArray[np.int64]]


class DetectionMetric:
    """COCO's numbers of detection: precision over recall of all images together, averaged over classes.

    They are those of pycocotools, of the boxes' own areas. What is kept of an image is how its found boxes match its
    own (see `rolewise.tasks.average_precision.matched`), so that resamples of images only count again. A class without
    a box that counts has no precision and is left out of the means, which are NaN where nothing is left.

    Args:
        found: returns detections [B, D, 6] of a detector's outputs.
        areas: sides in pixels of the squares between small, medium and large boxes.
    """

    def __init__(self, found: Callable[[Outputs], Tensor], areas: tuple[float, float]) -> None:
        self._found = found
        low, high = areas[0] ** 2, areas[1] ** 2
        self._areas = np.array([[0, 1e10], [0, low], [low, high], [high, 1e10]])
        self._images = 0
        #: By class: kinds, images and scores of found boxes, and (image, boxes that count) of those that have any.
        self._kinds: dict[int, list[tuple[NDArray[np.int8], NDArray[np.int64], Array]]] = {}
        self._there: dict[int, list[tuple[int, Array]]] = {}
        self._sorted: dict[int, list[_RANGE]] = {}

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with boxes."""
        found = self._found(outputs).detach().double().cpu().numpy()
        for rows, target in zip(found, batch.targets, strict=True):
            self._add(rows[rows[:, 5] >= 0], target)
        self._sorted = {}

    def _add(self, rows: Array, target: Mapping[str, Tensor]) -> None:
        boxes, labels = (target[name].detach().cpu() for name in ("boxes", "labels"))
        crowd = target.get("iscrowd", torch.zeros_like(labels)).cpu().numpy() != 0
        places, classes = boxes.double().numpy(), labels.numpy()
        for label in np.union1d(rows[:, 5].astype(np.int64), classes):
            mine = rows[rows[:, 5] == label]
            mine = mine[np.argsort(-mine[:, 4], kind="stable")][:_MOST]
            own = classes == label
            kinds, total = matched(mine[:, :4], places[own], crowd[own], self._areas)
            image = np.full(len(mine), self._images, np.int64)
            self._kinds.setdefault(int(label), []).append((kinds, image, mine[:, 4]))
            self._there.setdefault(int(label), []).append((self._images, total))
        self._images += 1

    def by_class(self, weights: Tensor | None = None) -> dict[int, float]:
        """Returns the AP (IoU 0.50 to 0.95) of each class that has a box or was found.

        Args:
            weights: [N] of the images, at least 0; None for 1 each.
        """
        return {label: float(precision[0].mean()) for label, (precision, _) in self._measured(weights).items()}

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns all numbers (see `rolewise.tasks.protocol.Metric`)."""
        measured = list(self._measured(weights).values())
        shape = (0, len(self._areas), len(OVERLAPS))
        precision = np.stack([one for one, _ in measured]) if measured else np.zeros(shape)
        recall = np.stack([one for _, one in measured]) if measured else np.zeros(shape)
        every = precision[:, 0]
        return {
            "ap": _mean(every),
            "ap50": _mean(every[:, _HALF]),
            "ap75": _mean(every[:, _THREE_QUARTERS]),
            "ap_small": _mean(precision[:, 1]),
            "ap_medium": _mean(precision[:, 2]),
            "ap_large": _mean(precision[:, 3]),
            "recall": _mean(recall[:, 0]),
        }

    def per_example(self) -> None:
        """Returns None: average precision is no mean over images."""

    def _measured(self, weights: Tensor | None) -> dict[int, tuple[Array, Array]]:
        """Returns AP and recall [S, 10] of each class."""
        each = np.ones(self._images) if weights is None else weights.double().cpu().numpy()
        found = {}
        for label in sorted(self._kinds):
            images = np.array([at for at, _ in self._there[label]])
            totals = each[images] @ np.stack([count for _, count in self._there[label]])
            both = [
                precision_and_recall(hits, misses, each[image], float(total))
                for (hits, misses, image), total in zip(self._of_class(label), totals, strict=True)
            ]
            found[label] = np.stack([one for one, _ in both]), np.stack([one for _, one in both])
        return found

    def _of_class(self, label: int) -> list[_RANGE]:
        """Returns a class's found boxes of all images by range, the highest score first, without those of no matter."""
        if label not in self._sorted:
            kinds, image, scores = (
                np.concatenate(list(part), axis)
                for part, axis in zip(zip(*self._kinds[label], strict=True), (2, 0, 0), strict=True)
            )
            order = np.argsort(-scores, kind="stable")
            kinds, image = kinds[:, :, order], image[order]
            ranges = []
            for one in kinds:
                counts = (one != LEFT_OUT).any(0)
                part = one[:, counts]
                ranges.append(((part == HIT).astype(float), (part == MISS).astype(float), image[counts]))
            self._sorted[label] = ranges
        return self._sorted[label]


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
