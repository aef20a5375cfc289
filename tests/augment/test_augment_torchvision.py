"""torchvision's RandAugment, TrivialAugmentWide and AutoAugment: choices, levels, signs and probabilities are its own.

The tables beside this file are torchvision 0.28's figures. Where torchvision loads, they are read from it as well.
"""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.augment import OPS, PRESETS, Schedule, apply, build_schedule
from rolewise.augment.autoaugment_policies import POLICIES
from rolewise.augment.ops import NAMES
from rolewise.augment.torchvision_spaces import CHOICES, levels
from rolewise.errors import InputError

TABLES = json.loads((Path(__file__).parent / "torchvision_tables.json").read_text())
BINS = {"randaugment": 31, "trivialaugment_wide": 31, "autoaugment": 10}
SIZES = {"32x32": (32, 32), "224x160": (224, 160)}
TITLES = {"translate_x": "TranslateX", "translate_y": "TranslateY", "shear_x": "ShearX", "shear_y": "ShearY"}
TITLES |= {"autocontrast": "AutoContrast"}
PRESET = {"randaugment": "randaugment_torchvision", "trivialaugment_wide": "trivialaugment_wide"}


def title(op: str) -> str:
    return TITLES.get(op, op.capitalize())


def expected(op: str, magnitudes: list[float], size: tuple[int, int], bins: int) -> np.ndarray:
    """Turns torchvision's magnitudes into the units of this package, as its `_apply_op` takes them."""
    values = np.array(magnitudes if len(magnitudes) > 1 else magnitudes * bins)
    if op.startswith("translate"):
        return np.trunc(values) / size[op == "translate_x"]
    if op == "posterize":
        return 8 - np.trunc(values)
    if op == "solarize":
        return 256 - values
    return np.ones(bins) if op in ("autocontrast", "equalize", "invert") else values


def check(tables: dict[str, Any], policies: dict[str, Any], size: tuple[int, int]) -> None:
    for space, table in tables.items():
        ops = [*CHOICES, "invert"] if space == "autoaugment" else CHOICES
        assert {title(op) for op in ops} | ({"Identity"} if space != "autoaugment" else set()) == set(table)
        for op in ops:
            magnitudes, signed = table[title(op)]
            found = levels(space, op, BINS[space], size).double().numpy()
            np.testing.assert_allclose(found, expected(op, magnitudes, size, BINS[space]), atol=1e-5)
            assert OPS[op].signed == signed
    for name, pairs in policies.items():
        ours = [
            [(title(op), tenths / 10, None if level == 10 else level) for op, tenths, level in row]
            for row in POLICIES[name]
        ]
        assert ours == [[tuple(triple) for triple in pair] for pair in pairs]


@pytest.mark.parametrize("size", SIZES)
def test_levels_signs_and_policies_are_those_of_the_tables(size: str) -> None:
    assert set(POLICIES) == set(TABLES["policies"])
    check(TABLES["sizes"][size], TABLES["policies"], SIZES[size])


def test_they_are_those_of_torchvision_where_it_loads() -> None:
    try:
        from torchvision.transforms import autoaugment
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load: {error}")
    for size in SIZES.values():
        spaces = {
            "randaugment": autoaugment.RandAugment()._augmentation_space(31, size),
            "trivialaugment_wide": autoaugment.TrivialAugmentWide()._augmentation_space(31),
            "autoaugment": autoaugment.AutoAugment()._augmentation_space(10, size),
        }
        tables = {
            space: {name: (magnitudes.flatten().tolist(), signed) for name, (magnitudes, signed) in table.items()}
            for space, table in spaces.items()
        }
        policies = {policy.value: autoaugment.AutoAugment(policy).policies for policy in autoaugment.AutoAugmentPolicy}
        check(tables, policies, size)


def counted(plan) -> tuple[collections.Counter[str], dict[str, set[float]]]:
    values: dict[str, set[float]] = collections.defaultdict(set)
    names = [NAMES[op] if op >= 0 else "identity" for op in plan.ops.flatten().tolist()]
    for name, value in zip(names, plan.values.flatten().tolist(), strict=True):
        values[name].add(round(value, 5))
    return collections.Counter(names), values


@pytest.mark.parametrize(("space", "num_ops"), [("randaugment", 2), ("trivialaugment_wide", 1)])
def test_choices_levels_and_signs_are_drawn_evenly(space: str, num_ops: int) -> None:
    plan = build_schedule(PRESET[space]).at(0.0).draw(42_000, (3, 32, 32), torch.Generator().manual_seed(0))
    assert plan.ops.shape == (42_000, num_ops)
    counts, values = counted(plan)
    share = 42_000 * num_ops / 14
    assert set(counts) == {"identity", *CHOICES}
    assert all(abs(count - share) < 5 * share**0.5 for count in counts.values())
    for op in CHOICES:
        magnitudes = expected(op, TABLES["sizes"]["32x32"][space][title(op)][0], (32, 32), 31)
        wanted = {float(value) for value in (magnitudes[[9]] if space == "randaugment" else magnitudes)}
        wanted |= {-value for value in wanted} if OPS[op].signed else set()
        assert {abs(a) for a in values[op]} == {round(abs(a), 5) for a in wanted}
        assert len(values[op]) == len({round(a, 5) + 0.0 for a in wanted})
    signs = plan.values[plan.ops == NAMES.index("rotate")]
    assert abs(float((signs[signs != 0] > 0).double().mean()) - 0.5) < 5 * 0.5 / len(signs) ** 0.5


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_each_pair_is_drawn_evenly_and_each_operation_with_its_probability(policy: str) -> None:
    num = 50_000
    spec = {"name": "autoaugment_torchvision", "policy": policy}
    plan = build_schedule(spec).at(0.0).draw(num, (3, 32, 32), torch.Generator().manual_seed(0))
    for slot in (0, 1):
        counts = collections.Counter(plan.ops[:, slot].tolist())
        wanted: collections.Counter[str] = collections.Counter()
        for pair in TABLES["policies"][policy]:
            wanted[pair[slot][0]] += num / 25 * pair[slot][1]
        for op in OPS:
            assert abs(counts[NAMES.index(op)] - wanted[title(op)]) <= 5 * wanted[title(op)] ** 0.5


@pytest.mark.parametrize("name", ["randaugment_torchvision", "trivialaugment_wide", "autoaugment_torchvision"])
def test_they_survive_json_and_apply(name: str) -> None:
    schedule = build_schedule({"name": name, "base": ["flip"]})
    again = Schedule.from_json(json.loads(json.dumps(schedule.to_json())))
    assert again == schedule
    images = torch.randint(0, 256, (64, 3, 24, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plans = [one.at(0.5).draw(64, (3, 24, 32), torch.Generator().manual_seed(1)) for one in (schedule, again)]
    assert torch.equal(apply(images, plans[0]), apply(images, plans[1]))
    assert not torch.equal(apply(images, plans[0]), images)
    assert build_schedule(name).at(0.0).draw(0, (3, 24, 32), torch.Generator()).ops.shape[0] == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "randaugment_torchvision", "magnitude": 31}, "magnitude must be a level from 0 to 30, got 31"),
        ({"name": "randaugment_torchvision", "bins": 1}, "bins must be between 2 and 1000, got 1"),
        ({"name": "randaugment_torchvision", "num_ops": -1}, "num_ops must be at least 0, got -1"),
        ({"name": "trivialaugment_wide", "ops": ["rotate"]}, "no such setting of \"trivialaugment_wide\": 'ops'"),
        ({"name": "autoaugment_torchvision", "policy": "cifar100"}, "policy"),
    ],
)
def test_settings_that_mean_nothing_are_refused(spec: dict[str, Any], message: str) -> None:
    assert spec["name"] in PRESETS
    with pytest.raises(InputError, match=message):
        build_schedule(spec)
