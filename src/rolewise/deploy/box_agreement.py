"""Agreement of two detectors: the boxes of each that have a partner among those of the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.batch import Outputs
from rolewise.tasks.box_geometry import box_iou
from rolewise.tasks.detection_outputs import detections_of

#: The IoU from which two boxes of a class are the same.
SAME = 0.9


@dataclass(frozen=True)
class ComparedBoxes:
    """The boxes that two detectors find in the same images.

    Args:
        share: of the boxes of both, those that have a partner; 1 where neither finds any.
        largest: the largest difference of a probability, of all places and classes, found or not.
        boxes: the number of boxes of both.
        mean_iou: of partners; None where there are none.
    """

    share: float
    largest: float
    boxes: int
    mean_iou: float | None


def compared_boxes(found: Outputs, known: Outputs, score: float, overlap: float, most: int) -> ComparedBoxes:
    """Compares the boxes that two detectors find, after suppression.

    A box of the second takes as its partner, the highest score first, the free box of its class in the first that
    overlaps it most, from an IoU of `SAME` on.

    Args:
        found: ``logits`` [N, A, K] and ``boxes`` [N, A, 4] of the first.
        known: those of the second.
        score: the least probability of a box.
        overlap: the IoU of suppression.
        most: boxes of an image.
    """
    first, second = (detections_of(one, score=score, overlap=overlap, most=most) for one in (found, known))
    number, partners = 0, []
    for rows, wanted in zip(first, second, strict=True):
        rows, wanted = rows[rows[:, 5] >= 0], wanted[wanted[:, 5] >= 0]
        number += len(rows) + len(wanted)
        partners += _partners(rows, wanted)
    probabilities = [one.logits.double().sigmoid() for one in (found, known)]
    return ComparedBoxes(
        2 * len(partners) / number if number else 1.0,
        float((probabilities[0] - probabilities[1]).abs().max()),
        number,
        sum(partners) / len(partners) if partners else None,
    )


def _partners(rows: Tensor, wanted: Tensor) -> list[float]:
    """Returns the IoU of each pair of partners, of detections [D, 6] and [E, 6] of one image."""
    overlaps = torch.where(rows[:, None, 5] == wanted[None, :, 5], box_iou(rows[:, :4], wanted[:, :4]), 0.0)
    found = []
    for column in range(overlaps.shape[1] if len(rows) else 0):
        best, at = overlaps[:, column].max(0)
        if float(best) >= SAME:
            found.append(float(best))
            overlaps[at] = 0.0
    return found
