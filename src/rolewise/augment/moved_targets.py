"""Targets that lie in the image: masks, boxes and points move as their image does under a plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rolewise.augment.geometry import Matrices, affine_map, warp
from rolewise.augment.ops import INDEX, OPS
from rolewise.augment.plan import Plan
from rolewise.errors import InputError

#: Numbers of the operations that move pixels.
_MOVING = {INDEX[name]: name for name, op in OPS.items() if op.kind == "geometric"}


def geometric(plan: Plan, keep: bool = True) -> Plan:
    """Returns a plan with its geometric operations alone, or with all others.

    Args:
        plan: of any operations.
        keep: False takes the geometric ones out instead.
    """
    moving = torch.isin(plan.ops, torch.tensor(list(_MOVING)))
    return Plan(plan.ops.where(moving if keep else ~moving, -1), plan.values, plan.draws)


def in_turn(first: Plan, second: Plan) -> Plan:
    """Returns a plan that applies two, one after the other, to the same images."""
    parts = ((getattr(plan, name) for plan in (first, second)) for name in ("ops", "values", "draws"))
    return Plan(*(torch.cat(list(part), 1) for part in parts))


def apply_to_masks(masks: Tensor, plan: Plan, *, fill: int) -> Tensor:
    """Moves masks as `apply` moves their images: the same places, always by the nearest pixel.

    Operations that do not move pixels leave a mask as it is, cutout and the user's own among them.

    Args:
        masks: [B, H, W] of whole numbers, on any device. Not changed.
        plan: for B images.
        fill: the label of what comes from outside the image, usually the one that is ignored.

    Returns:
        [B, H, W] of the same type.

    Raises:
        InputError: the masks are no whole numbers [B, H, W], or there are others than the plan is for.
    """
    if masks.ndim != 3 or masks.is_floating_point() or masks.is_complex():
        raise InputError(f"masks must be whole numbers [B, H, W], got {masks.dtype} {list(masks.shape)}")
    _check_count(plan, len(masks), "masks")
    height, width = masks.shape[1:]
    moved, outside = masks.clone(), torch.tensor(fill, dtype=masks.dtype, device=masks.device)
    for images, maps in _maps(plan, height, width):
        rows = torch.from_numpy(images).to(masks.device)
        part = moved[rows].unsqueeze(1)
        warp(part, maps, "nearest", outside.view(1, 1, 1))
        moved[rows] = part.squeeze(1)
    return moved


def apply_to_boxes(
    boxes: Tensor, images: Tensor, plan: Plan, size: tuple[int, int], *, least_visible: float = 0.3
) -> tuple[Tensor, Tensor]:
    """Moves boxes as `apply` moves their images.

    A box becomes the smallest upright one around its moved corners, cut at the image's edge. Corners are followed
    through all operations, so that two turns widen a box no more than their sum does, and cut after each operation,
    since what has left the image does not come back.

    Args:
        boxes: [N, 4] (x1, y1, x2, y2) in pixels from the upper left corner, x1 <= x2 and y1 <= y2.
        images: int64 [N], the image of each box.
        plan: for the images.
        size: (H, W) of the images in pixels.
        least_visible: in [0, 1], the fraction of a moved box's area that must be left in the image.

    Returns:
        The boxes [N, 4], and bool [N], which of them are still to be seen: an area is left, and at least
        ``least_visible`` of it. The others hold what is left of them.

    Raises:
        InputError: a shape does not fit, or an image is not one of the plan's.
    """
    _check_places(boxes, 4, images, plan, "boxes")
    if not 0 <= least_visible <= 1:
        raise InputError(f"least_visible must be from 0 to 1, got {least_visible!r}")
    given = boxes.detach().cpu().double().numpy()
    corners, visible = _corners(given), np.ones(len(given))
    for forward, rows in _followed(plan, images, size):
        points = _moved(corners[rows], forward)
        hull = np.concatenate([points.min(1), points.max(1)], 1)
        cut = _clipped(hull, size)
        left = (cut != hull).any(1)
        points[left] = _corners(cut[left])
        visible[rows] *= np.where(left, _area(cut) / np.maximum(_area(hull), 1e-12), 1)
        corners[rows] = points
    final = _clipped(np.concatenate([corners.min(1), corners.max(1)], 1), size)
    # A little below, so that a box of exactly this fraction is not dropped by rounding.
    kept = (_area(final) > 0) & (visible >= least_visible - 1e-7)
    return torch.from_numpy(final).to(boxes), torch.from_numpy(kept).to(boxes.device)


def apply_to_points(points: Tensor, images: Tensor, plan: Plan, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Moves points as `apply` moves their images.

    Args:
        points: [N, 2] (x, y) in pixels from the upper left corner, pixel centres at halves.
        images: int64 [N], the image of each point.
        plan: for the images.
        size: (H, W) of the images in pixels.

    Returns:
        The points [N, 2], and bool [N], which of them have been in the image all along.

    Raises:
        InputError: a shape does not fit, or an image is not one of the plan's.
    """
    _check_places(points, 2, images, plan, "points")
    moved = points.detach().cpu().double().numpy()[:, None].copy()
    inside = _within(moved[:, 0], size)
    for forward, rows in _followed(plan, images, size):
        moved[rows] = _moved(moved[rows], forward)
        inside[rows] &= _within(moved[rows, 0], size)
    return torch.from_numpy(moved[:, 0]).to(points), torch.from_numpy(inside).to(points.device)


def _check_count(plan: Plan, count: int, what: str) -> None:
    if len(plan) != count:
        raise InputError(f"plan must be for {count} {what}, got one for {len(plan)}; draw it for this batch")


def _check_places(places: Tensor, columns: int, images: Tensor, plan: Plan, what: str) -> None:
    if places.ndim != 2 or places.shape[1] != columns or not places.is_floating_point():
        raise InputError(f"{what} must be floating point [N, {columns}], got {places.dtype} {list(places.shape)}")
    if images.shape != places.shape[:1] or images.dtype != torch.int64:
        raise InputError(f"images must be int64 [{len(places)}], the image of each, got {list(images.shape)}")
    if len(images) and not 0 <= int(images.min()) <= int(images.max()) < len(plan):
        raise InputError(f"images must be 0 to {len(plan) - 1}, those of the plan, got {int(images.max())}")


def _maps(plan: Plan, height: int, width: int) -> Iterator[tuple[np.ndarray, Matrices]]:
    """Gives for each slot and geometric operation the images that it moves, [n], and their maps."""
    ops, values, draws = (getattr(plan, name).cpu().numpy() for name in ("ops", "values", "draws"))
    for slot in range(ops.shape[1]):
        for number, name in _MOVING.items():
            images = np.flatnonzero(ops[:, slot] == number)
            if len(images):
                at = (images, slot)
                yield images, affine_map(name, values[at].astype(float), draws[at].astype(float), height, width)


def _followed(plan: Plan, images: Tensor, size: tuple[int, int]) -> Iterator[tuple[Matrices, np.ndarray]]:
    """Gives the maps from old to new coordinates, [n, 6], and the rows of what they move."""
    owner = images.cpu().numpy()
    place = np.full(len(plan), -1)
    for moved, maps in _maps(plan, *size):
        place[:] = -1
        place[moved] = np.arange(len(moved))
        rows = np.flatnonzero(place[owner] >= 0)
        if len(rows):
            yield _inverse(maps)[place[owner[rows]]], rows


def _inverse(maps: Matrices) -> Matrices:
    a, b, c, d, e, f = maps.T
    scale = 1 / (a * e - b * d)
    found = np.stack([e, -b, b * f - c * e, -d, a, c * d - a * f], 1) * scale[:, None]
    return np.asarray(found)


def _moved(points: Matrices, forward: Matrices) -> Matrices:
    """Returns points [n, P, 2] under maps [n, 6]."""
    x, y = points[..., 0], points[..., 1]
    a, b, c, d, e, f = forward.T[:, :, None]
    return np.stack([a * x + b * y + c, d * x + e * y + f], -1)


def _corners(boxes: Matrices) -> Matrices:
    return boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def _clipped(boxes: Matrices, size: tuple[int, int]) -> Matrices:
    return np.clip(boxes, 0, np.array([size[1], size[0]] * 2, float))


def _area(boxes: Matrices) -> Matrices:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _within(points: Matrices, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(((points >= 0) & (points <= np.array([size[1], size[0]]))).all(1))
