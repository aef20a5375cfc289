"""Targets that lie in the image, moved with it: masks, boxes and points of an image feed."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment import Plan, apply_to_boxes, apply_to_masks, apply_to_points
from rolewise.augment.mosaic import with_partners
from rolewise.augment.ops import INDEX
from rolewise.batch import IGNORED
from rolewise.data.targets import kind_of_targets
from rolewise.errors import InputError


def lie_in_image(labels: Tensor) -> bool:
    """Returns whether a source's labels are places in the image, and move with it."""
    return kind_of_targets(labels) in ("masks", "boxes", "points")


def moved_labels(labels: Tensor, plan: Plan, size: tuple[int, int], group: int | None = None) -> Tensor:
    """Moves some of a source's labels as their images are moved; those that are no places stay.

    Boxes of which too little is left in the image are taken out (see `rolewise.augment.apply_to_boxes`), and points
    that leave it become NaN.

    Args:
        labels: [B, ...] of a source.
        plan: for the images.
        size: (H, W) of the images.
        group: number of images of a batch (see `rolewise.augment.apply`).

    Returns:
        Labels of the same form. Not changed in place.

    Raises:
        InputError: there is a mosaic, and labels are neither masks nor boxes.
    """
    kind = kind_of_targets(labels)
    if kind not in ("masks", "boxes") and bool((plan.ops == INDEX["mosaic"]).any()):
        raise InputError(
            "mosaic must go with masks or boxes: of several images there is no one class; take it out of the "
            "augmentation, or mix images by mix.method cutmix"
        )
    if kind == "masks":
        return apply_to_masks(labels, plan, fill=IGNORED, group=group)
    if kind == "points":
        return _moved_points(labels, plan, size)
    # Without an operation boxes stay to the bit, also such as touch the edge.
    if kind != "boxes" or not plan.ops.shape[1]:
        return labels
    given = labels[(there := labels[:, :, 4] >= 0)]
    numbers, images, born, parts = with_partners(there.nonzero()[:, 0], plan, group)
    boxes, kept = apply_to_boxes(given[numbers, :4], images, plan, size, born=born, parts=parts)
    table = torch.cat([boxes, given[numbers, 4:]], 1)[kept]
    return _by_image(table, images[kept.cpu()], len(labels), labels.shape[1])


def _by_image(boxes: Tensor, images: Tensor, count: int, least: int) -> Tensor:
    """Returns packed boxes [B, M, 6] of rows [N, 6] in the order of their images, and of the rows within each.

    Args:
        boxes: of all images.
        images: int64 [N].
        count: B.
        least: M, where no image has more.
    """
    order = images.argsort(stable=True)
    images, boxes = images[order], boxes[order.to(boxes.device)]
    each = torch.bincount(images, minlength=count)
    places = torch.arange(len(images)) - (each.cumsum(0) - each)[images]
    table = boxes.new_zeros(count, max(least, int(each.max()) if len(each) else 0), boxes.shape[1])
    table[:, :, 4] = -1
    table[images.to(table.device), places.to(table.device)] = boxes
    return table


def _moved_points(labels: Tensor, plan: Plan, size: tuple[int, int]) -> Tensor:
    images, places = labels.isfinite().all(2).nonzero(as_tuple=True)
    points, inside = apply_to_points(labels[images, places], images, plan, size)
    moved = torch.full_like(labels, float("nan"))
    moved[images[inside], places[inside]] = points[inside]
    return moved
