"""Mosaics: parts of four images at their own places, with masks and boxes, whatever the pieces that are worked on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rolewise.augment import Plan, apply, apply_to_masks, plan_application
from rolewise.augment.mosaic import partners, rectangles
from rolewise.augment.ops import INDEX
from rolewise.batch import IGNORED
from rolewise.config import ConfigError
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.train.moved_labels import moved_labels

H, W = 24, 32


def plan_of(images: int, value: float = 0.5, seed: int = 0) -> Plan:
    draws = torch.rand(images, 1, 2, generator=torch.Generator().manual_seed(seed))
    return Plan(torch.full((images, 1), INDEX["mosaic"]), torch.full((images, 1), value), draws)


def flat(images: int) -> torch.Tensor:
    """Images of one grey level each, their numbers."""
    return torch.arange(images, dtype=torch.uint8).view(-1, 1, 1, 1).expand(images, 3, H, W).contiguous()


def test_parts_tile_the_image_and_the_own_one_is_the_largest() -> None:
    draws = np.random.default_rng(0).integers(0, 2**24, (2000, 2)) / 2.0**24
    parts = rectangles(np.full(2000, 0.5), draws, H, W)
    area = (parts[..., 2] - parts[..., 0]) * (parts[..., 3] - parts[..., 1])
    assert (area >= 0).all() and (area.sum(1) == H * W).all()
    assert (area[:, 0] >= H * W / 4).all() and area[:, 0].min() < 0.3 * H * W and area[:, 0].max() > 0.95 * H * W
    # Its own part is at each of the four corners, as often.
    corners = (parts[:, 0, 0] > 0) * 2 + (parts[:, 0, 1] > 0)
    assert np.abs(np.bincount(corners, minlength=4) / 2000 - 0.25).max() < 0.05
    assert (rectangles(np.zeros(5), draws[:5], H, W)[:, 0] == [0, 0, W, H]).all()


def test_others_are_those_that_follow_in_the_batch() -> None:
    assert partners(np.array([0, 3, 6, 8]), 9, 4).tolist() == [[1, 2, 3], [0, 1, 2], [7, 4, 5], [8, 8, 8]]
    assert partners(np.array([8]), 9, None).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("group", [None, 4])
def test_every_pixel_is_of_the_image_that_its_part_is_of(group: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    images, plan = flat(10), plan_of(10)
    seen = apply(images, plan, group=group)
    parts = rectangles(plan.values[:, 0].double().numpy(), plan.draws[:, 0].double().numpy(), H, W)
    others = partners(np.arange(10), 10, group)
    for row in range(10):
        for number, image in enumerate([row, *others[row]]):
            x1, y1, x2, y2 = parts[row, number]
            assert (seen[row, :, y1:y2, x1:x2] == image).all()
    # In pieces of three images the result is the same.
    monkeypatch.setitem(plan_application._PIECE, "cpu", 3 * images[0].numel())
    assert torch.equal(apply(images, plan, group=group), seen)
    assert torch.equal(apply(images, plan_of(10, 0.0), group=group), images)


def test_masks_are_composed_as_their_images_also_between_other_operations() -> None:
    draws = torch.rand(8, 3, 2, generator=torch.Generator().manual_seed(1))
    ops = torch.tensor([INDEX["translate_x"], INDEX["mosaic"], INDEX["flip"]]).expand(8, 3)
    plan = Plan(ops, torch.tensor([0.25, 0.5, 1.0]).expand(8, 3), draws)
    masks = torch.randint(0, 5, (8, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    images = masks.unsqueeze(1).expand(8, 3, H, W).contiguous()
    seen = apply(images, plan, fill=IGNORED, group=4)
    moved = apply_to_masks(masks, plan, fill=IGNORED, group=4)
    assert torch.equal(seen[:, 0], moved) and (moved == IGNORED).any()


def test_boxes_come_with_their_pixels() -> None:
    # One square of each image's own number; what of it is seen is what its box holds.
    masks = torch.zeros(8, H, W, dtype=torch.uint8)
    labels = torch.zeros(8, 1, 6)
    for row in range(8):
        x, y = 2 + 3 * row % 20, 3 + 2 * row % 12
        masks[row, y : y + 8, x : x + 9] = row + 1
        labels[row, 0] = torch.tensor([x, y, x + 9, y + 8, row, 0.0])
    ops = torch.tensor([INDEX["flip"], INDEX["mosaic"], INDEX["mosaic"], INDEX["translate_y"]]).expand(8, 4)
    draws = torch.rand(8, 4, 2, generator=torch.Generator().manual_seed(3))
    plan = Plan(ops, torch.tensor([1.0, 0.5, 0.4, 0.125]).expand(8, 4), draws)
    seen = apply_to_masks(masks, plan, fill=0, group=4)
    boxes = moved_labels(labels, plan, (H, W), 4)
    found = 0
    for row in range(8):
        there = boxes[row][boxes[row, :, 4] >= 0]
        assert set((there[:, 4] + 1).tolist()) <= set(seen[row].unique().tolist()) - {0}
        for box in there:
            rows, columns = (seen[row] == box[4] + 1).nonzero(as_tuple=True)
            hull = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            # An image may be brought in twice, and both parts have a box.
            if (there[:, 4] == box[4]).sum() == 1 and int((seen[row] == box[4] + 1).sum()) == int(
                (box[2] - box[0]) * (box[3] - box[1])
            ):
                assert box[:4].tolist() == [float(side) for side in hull]
                found += 1
        for number in set(seen[row].unique().tolist()) - {0}:
            share = int((seen[row] == number).sum()) / 72
            assert share < 0.6 or number - 1 in there[:, 4]
    assert found > 4


def test_without_one_packed_boxes_stay_in_order() -> None:
    labels = torch.full((2, 3, 6), -1.0)
    labels[0, 0] = torch.tensor([0, 0, 4, 4, 1, 0.0])
    labels[0, 2] = torch.tensor([8, 8, 12, 12, 2, 1.0])
    plan = Plan(torch.full((2, 1), INDEX["flip"]), torch.ones(2, 1), torch.zeros(2, 1, 2))
    moved = moved_labels(labels, plan, (H, W))
    assert moved[0, :2].tolist() == [[W - 4, 0, W, 4, 1, 0], [W - 12, 8, W - 8, 12, 2, 1]]
    assert (moved[0, 2, 4], moved[1, :, 4].max()) == (-1, -1)


def test_a_class_of_a_whole_image_refuses_it() -> None:
    with pytest.raises(InputError, match="mosaic must go with masks or boxes"):
        moved_labels(torch.zeros(4, dtype=torch.int64), plan_of(4), (H, W))
    with pytest.raises(ConfigError, match=r'augment\.ops: must leave "mosaic" out for the task classification'):
        load("configs/digits.yaml", ["augment.ops=[mosaic, rotate]"])
