"""Masks, boxes and points move as their images do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rolewise.augment import OPS, Plan, apply, apply_to_boxes, apply_to_masks, apply_to_points, geometric, in_turn
from rolewise.augment.ops import INDEX
from rolewise.errors import InputError

H, W = 48, 64
MOVING = [name for name, op in OPS.items() if op.kind == "geometric"]


def plan_of(images: int, slots: int, seed: int, names: list[str] = MOVING) -> Plan:
    """Any operations at any strength and sign."""
    stream = torch.Generator().manual_seed(seed)
    picked = torch.randint(0, len(names), (images, slots), generator=stream)
    ranges, signed = (
        torch.tensor([float(getattr(OPS[name], key)) for name in names])[picked] for key in ("range", "signed")
    )
    strength = torch.rand(images, slots, generator=stream)
    sign = torch.where((torch.rand(images, slots, generator=stream) < 0.5) & (signed > 0), -1.0, 1.0)
    ops = torch.tensor([INDEX[name] for name in names])[picked]
    return Plan(ops, ranges * strength * sign, torch.rand(images, slots, 2, generator=stream))


def one(name: str, value: float, draws: tuple[float, float] = (0.0, 0.0)) -> Plan:
    return Plan(torch.tensor([[INDEX[name]]]), torch.tensor([[value]]), torch.tensor([[list(draws)]]))


def test_a_moved_mask_is_the_mask_of_the_moved_picture():
    masks = torch.randint(0, 255, (64, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    plan = plan_of(64, 3, seed=2)
    moved = apply_to_masks(masks, plan, fill=255)
    assert torch.equal(moved, apply(masks[:, None], plan, interpolation="nearest", fill=255)[:, 0])
    assert not torch.equal(moved, masks)


def test_masks_of_every_type_move_alike_and_the_outside_is_the_fill():
    masks = torch.randint(0, 9, (16, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    plan = plan_of(16, 2, seed=4)
    moved, large = apply_to_masks(masks, plan, fill=255), apply_to_masks(masks.long() * 1000, plan, fill=-1)
    outside = moved == 255
    assert outside.any() and torch.equal(large == -1, outside)
    assert torch.equal(large[~outside], moved[~outside].long() * 1000)


def test_what_moves_no_pixel_leaves_masks_boxes_and_points_alone():
    still = [name for name in OPS if name not in (*MOVING, "mosaic")]
    plan, masks = plan_of(8, 3, seed=5, names=still), torch.arange(8 * H * W).view(8, H, W)
    assert torch.equal(apply_to_masks(masks, plan, fill=0), masks)
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    moved, kept = apply_to_boxes(boxes, torch.tensor([3]), plan, (H, W))
    assert torch.equal(moved, boxes) and kept.all()


def test_a_plan_divides_into_what_moves_and_what_does_not():
    plan = plan_of(32, 4, seed=6, names=list(OPS))
    images = torch.randint(0, 256, (32, 3, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
    moving, still = geometric(plan), geometric(plan, keep=False)
    assert torch.equal((moving.ops >= 0) | (still.ops >= 0), plan.ops >= 0)
    assert not ((moving.ops >= 0) & (still.ops >= 0)).any()
    assert torch.equal(apply(images, in_turn(moving, still)), apply(apply(images, moving), still))


def ellipses(images: int, seed: int) -> Tensor:
    """One filled ellipse in each mask, bool [B, H, W]."""
    stream = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    middle = torch.rand(images, 2, generator=stream) * torch.tensor([W - 24.0, H - 18.0]) + torch.tensor([12.0, 9.0])
    radius = torch.rand(images, 2, generator=stream) * 6 + 3
    (cx, cy), (rx, ry) = (part.T[:, :, None, None] for part in (middle, radius))
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1


def hulls(masks: Tensor) -> Tensor:
    boxes = []
    for mask in masks:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        whole = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        boxes.append(torch.tensor([float(side) for side in whole]))
    return torch.stack(boxes)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_moved_box_holds_its_moved_object(slots: int):
    # By the nearest pixel an object's edge moves half a pixel in each operation at most.
    masks, plan = ellipses(400, seed=8), plan_of(400, slots, seed=9)
    moved = apply_to_masks(masks.to(torch.uint8), plan, fill=0) > 0
    boxes, kept = apply_to_boxes(hulls(masks), torch.arange(400), plan, (H, W))
    seen = moved.flatten(1).any(1) & kept
    assert seen.sum() > 250
    found = hulls(moved)
    over = torch.cat([boxes[:, :2] - found[:, :2], found[:, 2:] - boxes[:, 2:]], 1)[seen]
    enlarging = torch.isin(plan.ops, torch.tensor([INDEX["scale"], INDEX["resized_crop"]])).any(1)
    assert float(over[~enlarging[seen]].max()) <= 0.5 * slots
    assert float(over[enlarging[seen]].max()) <= 0.5 * slots * 4  # half a pixel enlarged with the image
    # And not much more: an upright box around a turned one is larger by what turning adds.
    assert float(-over.mean()) < 1.5
    # What was dropped has gone almost whole, where nothing enlarged what is left of it.
    share = moved.flatten(1).sum(1) / masks.flatten(1).sum(1)
    assert float(share[~kept & ~enlarging].amax()) < 0.6


def test_boxes_move_by_hand():
    boxes, first = torch.tensor([[4.0, 6.0, 20.0, 16.0]]), torch.tensor([0])
    cases = {
        ("flip", 1.0): [W - 20.0, 6.0, W - 4.0, 16.0],
        ("translate_x", 8 / W): [0.0, 6.0, 12.0, 16.0],  # eight pixels to the left, four of them lost
        ("translate_y", -8 / H): [4.0, 14.0, 20.0, 24.0],
        ("shear_x", -0.5): [4.0 + 3.0, 6.0, 20.0 + 8.0, 16.0],
    }
    for (name, value), wanted in cases.items():
        moved, kept = apply_to_boxes(boxes, first, one(name, value), (H, W))
        torch.testing.assert_close(moved, torch.tensor([wanted]), msg=name)
        assert kept.all()


def test_a_box_of_which_too_little_is_left_is_dropped_for_good():
    boxes, first = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([0])
    away = one("translate_x", 8 / W)
    _, kept = apply_to_boxes(boxes, first, away, (H, W))
    assert not kept.any()
    moved, kept = apply_to_boxes(boxes, first, away, (H, W), least_visible=0.2)
    assert kept.all() and moved.tolist() == [[0.0, 0.0, 2.0, 10.0]]
    # Back again: the image holds a strip of two pixels, and so does the box.
    moved, kept = apply_to_boxes(boxes, first, in_turn(away, one("translate_x", -8 / W)), (H, W), least_visible=0.2)
    torch.testing.assert_close(moved, torch.tensor([[8.0, 0.0, 10.0, 10.0]]))
    assert kept.all()


def test_points_move_with_the_pixels_that_they_mark():
    stream = torch.Generator().manual_seed(10)
    plan = plan_of(200, 1, seed=11)
    points = torch.rand(200, 2, generator=stream) * torch.tensor([W - 8.0, H - 8.0]) + 4
    masks = torch.zeros(200, H, W, dtype=torch.uint8)
    for image, (x, y) in enumerate(points.tolist()):
        masks[image, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 1
    moved, inside = apply_to_points(points, torch.arange(200), plan, (H, W))
    pictures = apply_to_masks(masks, plan, fill=0)
    for image in inside.nonzero()[:, 0].tolist():
        x, y = moved[image].tolist()
        assert pictures[image, min(int(y), H - 1), min(int(x), W - 1)] == 1
    assert 0 < int((~inside).sum()) < 100
    assert not ((moved < 0) | (moved > torch.tensor([W, H]))).any(1)[inside].any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda plan: apply_to_masks(torch.zeros(2, H, W), plan, fill=0), "whole numbers \\[B, H, W\\]"),
        (lambda plan: apply_to_masks(torch.zeros(3, H, W).long(), plan, fill=0), "plan must be for 3 masks"),
        (lambda plan: apply_to_boxes(torch.zeros(1, 4), torch.tensor([2]), plan, (H, W)), "images must be 0 to 1"),
        (lambda plan: apply_to_boxes(torch.zeros(1, 5), torch.tensor([0]), plan, (H, W)), "floating point \\[N, 4\\]"),
        (lambda plan: apply_to_points(torch.zeros(1, 2), torch.tensor([0.0]), plan, (H, W)), "images must be int64"),
        (
            lambda plan: apply_to_boxes(torch.zeros(1, 4), torch.tensor([0]), plan, (H, W), least_visible=2),
            "least_visible must be from 0 to 1",
        ),
    ],
)
def test_wrong_targets_are_refused(call, words: str):  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call(plan_of(2, 1, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2])
def test_boxes_of_real_nuclei_hold_their_moved_masks(slots: int, restored):
    folder = restored("nuclei", "nuclei/instances") / "nuclei" / "instances"
    instances, owners, boxes, areas = [], [], [], []
    for path in sorted(folder.glob("*.png"))[:40]:
        with Image.open(path) as picture:
            instances.append(torch.from_numpy(np.asarray(picture).astype(np.int64)))
        for number in instances[-1].unique()[1:].tolist():
            mask = instances[-1] == number
            owners.append(len(instances) - 1)
            boxes.append(hulls(mask[None])[0])
            areas.append((number, int(mask.sum())))
    masks, size = torch.stack(instances), tuple(instances[0].shape)
    plan = plan_of(len(masks), slots, seed=12)
    moved = apply_to_masks(masks, plan, fill=0)
    placed, kept = apply_to_boxes(torch.stack(boxes), torch.tensor(owners), plan, (size[0], size[1]))
    enlarging = torch.isin(plan.ops, torch.tensor([INDEX["scale"], INDEX["resized_crop"]])).any(1)
    over, left = {True: [], False: []}, []
    for at, (number, area) in enumerate(areas):
        mask = moved[owners[at]] == number
        if mask.any() and kept[at]:
            found = hulls(mask[None])[0]
            over[bool(enlarging[owners[at]])].append(
                float(torch.cat([placed[at, :2] - found[:2], found[2:] - placed[at, 2:]]).max())
            )
        if not kept[at]:
            left.append(float(mask.sum()) / area)
    # Half a pixel for each operation, enlarged with its image; and what float32 rounds of 256 pixels.
    assert len(over[False]) > 500 and max(over[False]) <= 0.5 * slots + 1e-4
    assert len(over[True]) > 20 and max(over[True]) <= 0.5 * slots * 4
    assert left and float(np.mean(left)) < 0.2
