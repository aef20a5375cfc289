"""What a device computes is what the CPU computes: ROLEWISE_DEVICE=cuda runs these on a GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_pieces" / "agreement.py"


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agreement", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_draws_and_mixed_images_are_the_same_to_the_byte(agreement: ModuleType, device: torch.device) -> None:
    found = agreement.draws(device, quick=True)
    for name in ("randaugment", "trivialaugment", "standard"):
        assert found[name] == {"draws_equal": True, "differ": 0.0, "by": 0.0}, name
    for name in ("mixup", "cutmix"):
        assert found[name]["by"] < 1e-6 and found[name]["labels_differ_by"] < 1e-6, name


def test_every_operation_is_the_same_to_the_byte(agreement: ModuleType, device: torch.device) -> None:
    found = agreement.operations(device, quick=True)
    assert len(found) > 50
    assert not {name: value for name, value in found.items() if value["differ"]}


def test_every_loss_and_its_gradient_are_the_same(agreement: ModuleType, device: torch.device) -> None:
    found = agreement.losses(device)
    wrong = {}
    for name, value in found.items():
        bound = 1e-9 if name.endswith("float64") else 1e-3
        if not (value["relative"] < bound and value["gradient_relative"] < bound):
            wrong[name] = value
    assert len(found) > 20 and not wrong


def test_a_short_training_ends_alike_and_the_same_twice(agreement: ModuleType, device: torch.device) -> None:
    found = agreement.training(device, quick=True)
    assert found["weights_equal_again"] and found["weights_relative"] < 1e-2
    assert found["device"]["accuracy"] == pytest.approx(found["cpu"]["accuracy"], abs=0.03)


def test_a_difference_is_seen(agreement: ModuleType) -> None:
    one = torch.tensor([0, 255, 7, 7], dtype=torch.uint8)
    other = torch.tensor([255, 255, 7, 8], dtype=torch.uint8)
    assert agreement.differences(one, other) == {"differ": 0.5, "by": 255.0}
