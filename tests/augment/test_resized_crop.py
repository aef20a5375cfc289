"""The random resized crop: a part inside the image, of the area and ratio that its strength allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rolewise.augment import Plan, apply, build_schedule
from rolewise.augment.geometry import affine_map
from rolewise.augment.ops import INDEX, NAMES
from rolewise.errors import InputError

DRAWS = np.random.default_rng(0).integers(0, 2**24, (4000, 2)) / 2.0**24


def maps(value: float, height: int = 40, width: int = 60) -> np.ndarray:
    return affine_map("resized_crop", np.full(len(DRAWS), value), DRAWS, height, width)


@pytest.mark.parametrize("value", [0.92, 0.5, 0.1])
def test_the_part_lies_inside_the_image_and_has_the_area_and_ratio_of_its_strength(value: float) -> None:
    found = maps(value)
    wide, high, left, top = found[:, 0], found[:, 4], found[:, 2], found[:, 5]
    assert not found[:, [1, 3]].any() and (left >= 0).all() and (top >= 0).all()
    assert (left + wide * 60 <= 60 + 1e-9).all() and (top + high * 40 <= 40 + 1e-9).all()
    area = wide * high
    assert (area >= 1 - value - 1e-9).all() and area.max() <= 1 and area.min() < 1 - 0.98 * value
    bend = (4 / 3) ** min(1.0, value / 0.92)
    # A part that would overhang is narrowed, which brings its ratio nearer to the image's.
    ratio = wide / high
    assert (ratio <= bend + 1e-9).all() and (ratio >= 1 / bend - 1e-9).all() and ratio.max() > 0.98 * bend
    # Area, ratio and place are drawn independently of one another.
    small = area < 1 - value / 2
    numbers = np.stack([area[small], ratio[small], left[small] / (1 - wide[small]), top[small] / (1 - high[small])])
    assert np.abs(np.corrcoef(numbers) - np.eye(4))[2:].max() < 0.08
    assert abs(numbers[2].mean() / 60 - 0.5) < 0.03 and abs(numbers[3].mean() / 40 - 0.5) < 0.03


def test_without_strength_it_is_the_identity_and_more_strength_leaves_out_more() -> None:
    assert (maps(0.0) == [1, 0, 0, 0, 1, 0]).all()
    areas = [maps(value)[:, 0] * maps(value)[:, 4] for value in (0.2, 0.5, 0.92)]
    assert (areas[0] >= areas[1]).all() and (areas[1] >= areas[2]).all()


def test_it_enlarges_the_part_of_an_image_that_is_a_ramp() -> None:
    ramp = (torch.arange(64) * 4).expand(8, 1, 64, 64).to(torch.uint8)
    plan = (
        build_schedule({"name": "inception", "area": 0.75})
        .at(0.0)
        .draw(8, (1, 64, 64), torch.Generator().manual_seed(1))
    )
    seen = apply(ramp, plan, interpolation="bilinear").float()
    mirrored = (plan.ops == INDEX["flip"]).any(1)
    zoomed = affine_map("resized_crop", plan.values[:, 0].double().numpy(), plan.draws[:, 0].double().numpy(), 64, 64)
    for image, mirror, part in zip(seen, mirrored, zoomed, strict=True):
        row = image[0, 32].flip(0) if mirror else image[0, 32]
        wanted = 4 * ((np.arange(64) + 0.5) * part[0] + part[2] - 0.5)
        assert np.abs(row.numpy() - wanted)[2:-2].max() < 2
    assert build_schedule("inception").at(0.0).draw(2, (1, 8, 8), torch.Generator()).ops[:, 0].tolist() == [17, 17]


def test_plans_of_an_earlier_release_are_read(tmp_path: Path) -> None:
    tensors = {
        "ops": torch.tensor([[0, 16], [15, -1]]),
        "values": torch.zeros(2, 2),
        "draws": torch.zeros(2, 2, 2),
    }
    save_file(tensors, str(tmp_path / "old.safetensors"), metadata={"ops": ",".join(NAMES[:17])})
    assert torch.equal(Plan.load(tmp_path / "old.safetensors").ops, tensors["ops"])
    save_file(tensors, str(tmp_path / "odd.safetensors"), metadata={"ops": ",".join([*NAMES[1:17], NAMES[0]])})
    with pytest.raises(InputError, match="metadata ops must name this release's operations"):
        Plan.load(tmp_path / "odd.safetensors")
