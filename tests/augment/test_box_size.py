"""Augmentation by box size: which images count as small, what is drawn for each, and its end."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rolewise.augment import BoxSizeAugmentation
from rolewise.data import packed_boxes
from rolewise.errors import InputError


def boxes_of(*sides: list[float]) -> torch.Tensor:
    squares = [np.array([[1, 1, 1 + side, 1 + side] for side in one]).reshape(-1, 4) for one in sides]
    return packed_boxes([(one, [0] * len(one), [False] * len(one)) for one in squares])


def test_an_image_is_of_small_boxes_where_all_are() -> None:
    labels = boxes_of([5, 19.9], [5, 20], [], [30])
    assert BoxSizeAugmentation(20).all_small(labels).tolist() == [True, False, True, False]


def test_noise_is_for_small_boxes_and_crops_for_others_until_both_are_switched_off() -> None:
    def draws() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    labels, by_size = boxes_of(*[[5], [5, 30]] * 200), BoxSizeAugmentation(20)
    plan, noisy = by_size.draw(labels, 0.6, draws())
    crops = [plan.describe(at) for at in range(400)]
    assert all(not one for one in crops[::2]) and all(one[0].startswith("scale") for one in crops[1::2])
    octaves = plan.values[1::2, 0]
    assert 0 <= float(octaves.min()) < 0.05 and 0.29 < float(octaves.max()) <= math.log2(1.25) + 1e-6
    assert not noisy[1::2].any() and 0.2 < float(noisy[::2].double().mean()) < 0.4
    nothing, quiet = by_size.draw(labels, 0.7, draws())
    assert not quiet.any() and set(nothing.ops.flatten().tolist()) == {-1}
    never_off = BoxSizeAugmentation(20, until=1.0).draw(labels, 0.9, draws())
    assert torch.equal(never_off[0].ops, plan.ops) and torch.equal(never_off[1], noisy)


@pytest.mark.parametrize("wrong", [{"small": 0}, {"noisy": 1.1}, {"least": 0}, {"until": -0.1}])
def test_numbers_out_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="small must be positive, noisy and until in"):
        BoxSizeAugmentation(**{"small": 20, **wrong})
