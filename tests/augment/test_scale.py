"""Scale jitter: an image enlarged about a random part, or shrunk to a random place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rolewise.augment import OPS, Plan, apply, apply_to_boxes
from rolewise.augment.geometry import affine_map
from rolewise.augment.ops import INDEX

DRAWS = np.random.default_rng(0).integers(0, 2**24, (500, 2)) / 2.0**24


@pytest.mark.parametrize("octaves", [1.0, 0.3, -0.3, -1.0])
def test_the_place_is_any_at_which_part_or_image_fits(octaves: float) -> None:
    found = affine_map("scale", np.full(len(DRAWS), octaves), DRAWS, 40, 60)
    shown = 2**-octaves
    assert np.allclose(found[:, [0, 4]], shown) and not found[:, [1, 3]].any()
    for column, side in ((2, 60), (5, 40)):
        low, high = sorted((0.0, (1 - shown) * side))
        edge = found[:, column]
        assert (edge >= low).all() and (edge <= high).all()
        assert edge.min() < low + 0.02 * (high - low) and edge.max() > high - 0.02 * (high - low)


def test_a_square_of_half_the_size_and_its_box() -> None:
    images = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    plan = Plan(torch.full((1, 1), INDEX["scale"]), torch.full((1, 1), -1.0), torch.full((1, 1, 2), 0.25))
    seen = apply(images, plan)[0, 0]
    wanted = torch.zeros(32, 32, dtype=torch.uint8)
    wanted[4:20, 4:20] = 200  # a quarter of the 16 pixels that are free
    assert torch.equal(seen, wanted)
    boxes, kept = apply_to_boxes(
        torch.tensor([[0.0, 8.0, 32.0, 24.0]]), torch.zeros(1, dtype=torch.int64), plan, (32, 32)
    )
    assert kept.all() and boxes.tolist() == [[4.0, 8.0, 20.0, 16.0]]


def test_it_is_signed_and_no_search_takes_it_unless_its_name_is_set() -> None:
    from rolewise.augment import PBA_OPS

    assert OPS["scale"].signed and "scale" not in PBA_OPS
