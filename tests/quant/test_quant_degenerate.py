"""Degenerate input to every quantiser: a right result or a clear error, forward and backward, in every precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.quant import (
    QUANTISERS,
    AffineActivation,
    AffineWeight,
    DorefaActivation,
    DorefaWeight,
    LsqActivation,
    LsqWeight,
    PactActivation,
    quantise,
    quantised_layers,
)

Array = np.ndarray[Any, np.dtype[np.float64]]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
FEW = 0.004  # a value's relative distance to its level in bfloat16, the coarsest


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def but(row: float) -> Tensor:
    weight = draws(4, 6)
    weight[1] = row
    return weight


WEIGHTS: dict[str, Tensor] = {
    "zero": torch.zeros(4, 6),
    "constant": torch.full((4, 6), 0.5),
    "negative constant": torch.full((4, 6), -3.0),
    "zero channel": but(0.0),
    "constant channel": but(0.25),
    "one weight": torch.tensor([[-0.7]]),
    "tiny": draws(4, 6) * 1e-6,
    "huge": draws(4, 6).sign() * 1e4,
}


def affine(w: Array, bits: int) -> Array:
    top = 2 ** (bits - 1) - 1
    scale = np.abs(w).max(1, keepdims=True) / top
    return np.round(w / np.where(scale > 0, scale, 1)) * scale


def lsq(w: Array, bits: int) -> Array:
    low, top = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    step = 2 * np.abs(w).mean() / np.sqrt(top) or 1.0
    return np.clip(np.round(w / step), low, top) * step


def dorefa(w: Array, bits: int) -> Array:
    if not w.any():
        return w
    if bits == 1:
        return np.where(w >= 0, 1.0, -1.0) * np.abs(w).mean()
    bent, top = np.tanh(w), 2**bits - 1
    return 2 * np.round((bent / np.abs(bent).max() / 2 + 0.5) * top) / top - 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.parametrize(
    ("make", "formula", "lowest"), [(AffineWeight, affine, 2), (LsqWeight, lsq, 2), (DorefaWeight, dorefa, 1)]
)
def test_weights(make: Any, formula: Callable[[Array, int], Array], lowest: int, case: str, dtype: torch.dtype) -> None:
    weight = WEIGHTS[case].to(dtype)
    for bits in (lowest, 3, 8):
        leaf = weight.clone().requires_grad_()
        quantiser = make(leaf.detach(), bits)
        used = quantiser(leaf)
        assert used.dtype == dtype
        (used * torch.linspace(0.5, 1, used.numel()).view_as(used).to(dtype)).sum().backward()
        # DoReFa's gradient is 1 / max|tanh w|: of such weights, more than float16 holds.
        beyond = case == "tiny" and make is DorefaWeight and dtype is torch.float16
        assert bool(used.isfinite().all()) and not bool(leaf.grad.isnan().any())
        assert beyond or bool(leaf.grad.isfinite().all())
        assert all(bool(part.grad.isfinite().all()) for part in quantiser.parameters())
        raw, found = weight.double().numpy(), used.detach().double().numpy()
        expected = formula(raw, bits)
        # A value in the middle of two levels may fall to either in half precision; all others are as in float64.
        slack = 2 * FEW * np.abs(expected).max() + (5e-7 if dtype is torch.float16 else 0)  # its least numbers
        away = np.abs(found - expected) > slack
        assert away.mean() <= (0.0 if dtype in (torch.float32, torch.float64) else 0.1), (bits, found, expected)
        codes = quantiser.codes(weight)
        assert int(codes.codes.max()) < 2**bits and bool((codes.scale > 0).all())
        assert np.allclose(codes.values().double().numpy(), found, atol=slack)


INPUTS: dict[str, Tensor] = {
    "zero": torch.zeros(2, 8),
    "constant": torch.full((2, 8), 3.0),
    "one image of one value": torch.tensor([[0.6]]),
    "empty": torch.zeros(0, 8),
    "negative": -draws(2, 8).abs() - 0.1,
    "both signs": draws(2, 8),
    "tiny": draws(2, 8).abs() * 1e-6,
    "huge": torch.tensor([[1e4, 0.0, -5e3]]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("bits", [1, 2, 8])
@pytest.mark.parametrize("make", [LsqActivation, PactActivation, AffineActivation, DorefaActivation])
def test_inputs(make: Any, bits: int, case: str, dtype: torch.dtype) -> None:
    values = INPUTS[case].to(dtype)
    for quantiser in (make(bits).to(dtype), make(bits)):
        if make is LsqActivation and bits == 1 and bool((values < 0).any()):
            for mode in (True, False):
                with pytest.raises(InputError, match="negative values, which one bit has no level for"):
                    quantiser.train(mode)(values)
            continue
        # Before training; the first batch and the next; afterwards.
        for mode in (False, True, True, False):
            leaf = values.clone().requires_grad_()
            used = quantiser.train(mode)(leaf)
            used.sum().backward()
            assert used.shape == values.shape and used.dtype == dtype
            assert bool(used.isfinite().all()) and bool(leaf.grad.isfinite().all())
            assert all(bool(part.grad.isfinite().all()) for part in quantiser.parameters() if part.grad is not None)
            found, raw = used.detach().double(), values.double()
            if case == "zero":
                assert not found.any()
            if make in (PactActivation, DorefaActivation):
                # Their papers cut what is below 0: a layer with such an input wants lsq or affine.
                assert not found[raw <= 0].any() and not leaf.grad[raw < 0].any()
            elif make is AffineActivation and case != "empty":
                width = (max(float(raw.max()), 0) - min(float(raw.min()), 0)) / (2**bits - 1)
                slack = 1 + 4 * FEW * 2**bits
                assert float((found - raw).abs().max()) <= 0.5 * width * slack + 1e-7
            elif make is LsqActivation and bits == 8 and case != "empty":
                # Its first step is made for training: it cuts more than it rounds, but turns no sign.
                assert bool((found * raw >= 0).all())


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
@pytest.mark.parametrize("count", [0, 1])
def test_networks_with_one_image_or_none(quantiser: str, count: int) -> None:
    plain = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    model = quantise(plain, 4, quantiser=quantiser, keep=())
    images = draws(count, 2, 4, 4)
    for mode in (False, True, False):
        logits = model.train(mode)(images)
        logits.sum().backward()
        assert logits.shape == (count, 2) and bool(logits.isfinite().all())
        assert all(bool(part.grad.isfinite().all()) for part in model.parameters() if part.grad is not None)


def test_one_bit_is_refused_where_there_are_no_two_levels() -> None:
    for quantiser in ("lsq", "affine"):
        with pytest.raises(InputError, match="for one bit take the quantiser dorefa"):
            quantise(nn.Linear(2, 2), {"weights": 1}, quantiser=quantiser, keep=())


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
def test_a_whole_network_in_half_precision_trains(quantiser: str) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        low = quantise(model, 4, quantiser=quantiser, keep=()).to(dtype).train()
        optimizer = torch.optim.SGD(low.parameters(), 0.1)
        for number in range(3):
            optimizer.zero_grad()
            logits = low(draws(5, 6, seed=number).to(dtype))
            nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1, 2, 0, 1])).backward()
            optimizer.step()
        assert all(bool(tensor.isfinite().all()) for tensor in low.state_dict().values())


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
@pytest.mark.parametrize("bits", [2, 4])
def test_a_step_never_waits_for_a_device(quantiser: str, bits: int) -> None:
    # On the device "meta" tensors have no values: whatever reads one back, or branches on one, fails.
    low = quantise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), bits, quantiser=quantiser, keep=())
    low.train()(draws(2, 3, 8, 8))
    for _, layer in quantised_layers(low):
        layer.activation_quantiser(draws(2, 3))  # what is read once, from the state, has been read
    low.to("meta")
    output = low(torch.empty(2, 3, 8, 8, device="meta"))
    output.sum().backward()
    assert output.device.type == "meta" and all(weight.grad is not None for weight in low.parameters())


def test_one_bit_of_dorefa_never_waits_for_a_device() -> None:
    weight = torch.empty(3, 4, device="meta", requires_grad=True)
    DorefaWeight(weight, 1)(weight).sum().backward()
    assert weight.grad is not None
