"""The losses of a dense detector, and the locations that learn its boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Outputs
from rolewise.tasks.box_assignment import assigned_boxes
from rolewise.tasks.box_geometry import distances_to_sides, paired_overlap
from rolewise.tasks.box_losses import distribution_focal_loss, quality_focal_loss, weighted_means
from rolewise.tasks.detection_outputs import counted_boxes


@dataclass(frozen=True)
class Matched:
    """The locations of a batch that learn a box, P of them.

    Args:
        image: [P], the image of each.
        at: [P], its number among the locations.
        boxes: [P, 4], the box that it learns.
        labels: [P], that box's class.
        share: [P], 1 over the number of locations that learn that box.
    """

    image: Tensor
    at: Tensor
    boxes: Tensor
    labels: Tensor
    share: Tensor


def matched_locations(outputs: Outputs, targets: Sequence[Mapping[str, Any]], radius: float) -> Matched:
    """Returns the locations of a dense detector that learn a box.

    Args:
        outputs: with ``locations`` [A, 2] and ``strides`` [A].
        targets: of each image (see `rolewise.tasks.Detection`).
        radius: of the locations around a box's centre that learn it, in strides.
    """
    locations, strides = outputs.values["locations"], outputs.values["strides"]
    parts: list[tuple[Tensor, ...]] = []
    for image, target in enumerate(targets):
        counted = counted_boxes(target)
        boxes, labels = target["boxes"][counted].to(locations), target["labels"][counted]
        which = assigned_boxes(locations, strides, boxes, radius)
        at = (which >= 0).nonzero().view(-1)
        which = which[at]
        share = 1 / torch.bincount(which, minlength=1)[which].to(locations)
        parts.append((torch.full_like(at, image), at, boxes[which], labels[which], share))
    return Matched(*(torch.cat(column) for column in zip(*parts, strict=True)))


def dense_losses(
    outputs: Outputs, matched: Matched, gamma: float, box_weight: float, distribution_weight: float
) -> dict[str, Tensor]:
    """Returns ``labels``, ``boxes`` and, with a distribution, ``distribution``, [B] each.

    Args:
        outputs: of a dense detector.
        matched: see `matched_locations`.
        gamma: of the quality focal loss.
        box_weight: of the losses of boxes.
        distribution_weight: of those of distributions.
    """
    logits, boxes = outputs.logits, outputs.values["boxes"]
    count, locations, strides = len(logits), outputs.values["locations"], outputs.values["strides"]
    image, at = matched.image, matched.at
    iou, giou = paired_overlap(boxes[image, at], matched.boxes)
    quality = torch.zeros_like(logits)
    quality[image, at, matched.labels] = iou.detach().clamp(0, 1)
    number = torch.bincount(image, minlength=count).clamp(min=1)
    scores = quality_focal_loss(logits, quality, gamma).sum((1, 2)) / number
    losses = {"labels": scores, "boxes": box_weight * weighted_means(1 - giou, matched.share, image, count)}
    if (spread := outputs.values.get("distribution")) is not None:
        distances = distances_to_sides(locations[at], matched.boxes) / strides[at, None]
        each = distribution_focal_loss(spread[image, at], distances).mean(-1)
        losses["distribution"] = distribution_weight * weighted_means(each, matched.share, image, count)
    return losses
