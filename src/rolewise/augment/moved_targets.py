"""Targets that lie in the image: masks, boxes and points move as their image does under a plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rolewise.augment.geometry import Matrices, affine_map, warp
from rolewise.augment.mosaic import compose, mosaics
from rolewise.augment.ops import INDEX, OPS
from rolewise.augment.plan import Plan
from rolewise.errors import InputError

#: Numbers of the operations that move pixels.
_MOVING = {INDEX[name]: name for name, op in OPS.items() if op.kind == "geometric"}
#: And of those that bring other images' in.
_COMPOSING = [INDEX[name] for name, op in OPS.items() if op.kind == "compose"]


def geometric(plan: Plan, keep: bool = True) -> Plan:
    """Returns a plan with its geometric operations and mosaics alone, or with all others.

    Args:
        plan: of any operations.
        keep: False takes these out instead.
    """
    moving = torch.isin(plan.ops, torch.tensor([*_MOVING, *_COMPOSING]))
    return Plan(plan.ops.where(moving if keep else ~moving, -1), plan.values, plan.draws)


def in_turn(first: Plan, second: Plan) -> Plan:
    """Returns a plan that applies two, one after the other, to the same images."""
    parts = ((getattr(plan, name) for plan in (first, second)) for name in ("ops", "values", "draws"))
    return Plan(*(torch.cat(list(part), 1) for part in parts))


def apply_to_masks(masks: Tensor, plan: Plan, *, fill: int, group: int | None = None) -> Tensor:
    """Moves masks as `apply` moves their images: the same places, always by the nearest pixel.

    Operations that do not move pixels leave a mask as it is, cutout and the user's own among them.

    Args:
        masks: [B, H, W] of whole numbers, on any device. Not changed.
        plan: for B images.
        fill: the label of what comes from outside the image, usually the one that is ignored.
        group: number of images of a batch (see `apply`).

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
    composed = {slot: (images, parts) for slot, images, parts in mosaics(plan, (height, width))}
    for slot in range(plan.ops.shape[1]):
        for images, maps in _maps(plan, slot, height, width):
            rows = torch.from_numpy(images).to(masks.device)
            part = moved[rows].unsqueeze(1)
            warp(part, maps, "nearest", outside.view(1, 1, 1))
            moved[rows] = part.squeeze(1)
        if slot in composed:
            images, parts = composed[slot]
            rows = torch.from_numpy(images).to(masks.device)
            part = moved[rows].unsqueeze(1)
            compose(part, masks.unsqueeze(1), images, parts, group)
            moved[rows] = part.squeeze(1)
    return moved


def apply_to_boxes(
    boxes: Tensor,
    images: Tensor,
    plan: Plan,
    size: tuple[int, int],
    *,
    least_visible: float = 0.3,
    born: Tensor | None = None,
    parts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Moves boxes as `apply` moves their images.

    A box becomes the smallest upright one around its moved corners, cut at the image's edge. Corners are followed
    through all operations, so that two turns widen a box no more than their sum does, and cut after each operation,
    since what has left the image does not come back. A mosaic cuts a box at the edge of its part.

    Args:
        boxes: [N, 4] (x1, y1, x2, y2) in pixels from the upper left corner, x1 <= x2 and y1 <= y2.
        images: int64 [N], the image of each box.
        plan: for the images.
        size: (H, W) of the images in pixels.
        least_visible: in [0, 1], the fraction of a moved box's area that must be left in the image.
        born: int64 [N], the slot of the mosaic that brought a box in, from which on it moves with the image; -1, the
            default, for the image's own (see `rolewise.augment.mosaic.with_partners`).
        parts: int64 [N], its part of that mosaic, 1 to 3; 0, the default, for the image's own.

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
    since, part = (
        np.full(len(given), low) if some is None else some.cpu().numpy() for some, low in ((born, -1), (parts, 0))
    )
    owner = images.cpu().numpy()
    composed = {slot: found for slot, *found in mosaics(plan, size)}
    for slot in range(plan.ops.shape[1]):
        for forward, moved in _followed(plan, slot, images, size):
            rows, of = moved[since[moved] < slot], since[moved] < slot
            _cut(corners, visible, rows, _moved(corners[rows], forward[of]), np.array([[0, 0, size[1], size[0]]]))
        if slot in composed:
            shown, found = composed[slot]
            place = np.full(len(plan), -1)
            place[shown] = np.arange(len(shown))
            rows = np.flatnonzero((place[owner] >= 0) & (since <= slot))
            limits = found[place[owner[rows]], np.where(since[rows] == slot, part[rows], 0)]
            _cut(corners, visible, rows, corners[rows], limits)
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
    for slot in range(plan.ops.shape[1]):
        for forward, rows in _followed(plan, slot, images, size):
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


def _maps(plan: Plan, slot: int, height: int, width: int) -> Iterator[tuple[np.ndarray, Matrices]]:
    """Gives for each geometric operation of a slot the images that it moves, [n], and their maps."""
    ops, values, draws = (getattr(plan, name)[:, slot].cpu().numpy() for name in ("ops", "values", "draws"))
    for number, name in _MOVING.items():
        images = np.flatnonzero(ops == number)
        if len(images):
            yield images, affine_map(name, values[images].astype(float), draws[images].astype(float), height, width)


def _followed(plan: Plan, slot: int, images: Tensor, size: tuple[int, int]) -> Iterator[tuple[Matrices, np.ndarray]]:
    """Gives the maps of a slot from old to new coordinates, [n, 6], and the rows of what they move."""
    owner = images.cpu().numpy()
    place = np.full(len(plan), -1)
    for moved, maps in _maps(plan, slot, *size):
        place[:] = -1
        place[moved] = np.arange(len(moved))
        rows = np.flatnonzero(place[owner] >= 0)
        if len(rows):
            yield _inverse(maps)[place[owner[rows]]], rows


def _cut(corners: Matrices, visible: Matrices, rows: np.ndarray, points: Matrices, limits: np.ndarray) -> None:
    """Sets moved corners [n, 4, 2] of some boxes, cut at their limits [n, 4], and what is left of them to be seen."""
    hull = np.concatenate([points.min(1), points.max(1)], 1)
    cut = np.clip(hull, limits[:, [0, 1, 0, 1]], limits[:, [2, 3, 2, 3]])
    left = (cut != hull).any(1)
    points = points.copy()
    points[left] = _corners(cut[left])
    visible[rows] *= np.where(left, _area(cut) / np.maximum(_area(hull), 1e-12), 1)
    corners[rows] = points


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
