"""Networks on the ground floor: modes come back, devices are found, logits are checked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rolewise.errors import InputError
from rolewise.networks import class_logits, device_of, evaluating, modes_kept


def mixed_modes() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    model[1][0].eval()
    return model


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_gets_its_own_mode_back_whatever_happens(fails: bool):
    model = mixed_modes()
    before = modes(model)
    assert len(set(before)) == 2
    for hold in (evaluating, modes_kept):
        try:
            with hold(model) as held:
                assert held is model
                assert modes(model) == ([False] * 5 if hold is evaluating else before)
                model.train()
                if fails:
                    raise RuntimeError("it broke")
        except RuntimeError:
            assert fails
        assert modes(model) == before


def test_a_device_is_found_in_parameters_then_buffers():
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    norm = nn.BatchNorm1d(2, affine=False, device="meta")
    assert not list(norm.parameters()) and device_of(norm).type == "meta"
    assert device_of(nn.ReLU()) == torch.device("cpu")


def test_logits_are_at_least_single_precision_and_two_classes():
    half = torch.zeros(3, 2, dtype=torch.float16)
    assert class_logits({"logits": half}).dtype == torch.float32
    assert class_logits(half.double()).dtype == torch.float64
    for shape in ((3,), (3, 1), (3, 2, 1)):
        with pytest.raises(InputError, match=r"must have shape \[B, K\]"):
            class_logits(torch.zeros(shape))
