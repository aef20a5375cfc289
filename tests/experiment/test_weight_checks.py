"""Weights that are not those of the teacher's network are found before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rolewise.config import ConfigError
from rolewise.experiment import load
from rolewise.models import build

ARMS = "arms={teacher: [none], student: [none]}"
QUICK = Path(__file__).parent / "quick.yaml"


def fault(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [ARMS, f"teacher.weights='{path}'"])
    (found,) = caught.value.faults
    assert found.path == "teacher.weights"
    return found.message


def test_weights_of_another_network_are_a_fault_of_the_config(tmp_path: Path) -> None:
    state = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[8, 12]).state_dict()
    save_file(state, tmp_path / "fits.safetensors")
    load(QUICK, [ARMS, f"teacher.weights='{tmp_path / 'fits.safetensors'}'"])
    save_file({f"module.{name}": tensor.clone() for name, tensor in state.items()}, tmp_path / "wrapped.safetensors")
    assert 'are of this network, but each name begins with "module."' in fault(tmp_path / "wrapped.safetensors")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "1 of the file's are not in the network (weight)" in fault(tmp_path / "other.safetensors")
