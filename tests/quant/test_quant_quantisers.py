"""Quantisers: values and gradients against numpy in float64, against torch's own, and by hand; degenerate input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rolewise.errors import InputError
from rolewise.quant import (
    AffineActivation,
    AffineWeight,
    DorefaWeight,
    LsqActivation,
    LsqWeight,
    PactActivation,
    dorefa_activation,
    dorefa_weight,
    on_grid,
    pact_activation,
    symmetric_scale,
)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_dorefa_by_hand() -> None:
    # Two bits: the four levels of the paper's formula, the largest weight on the end of the range.
    weight = torch.tensor([-2.0, -0.1, 0.1, 2.0])
    assert torch.allclose(dorefa_weight(weight, 2), torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0]))
    assert torch.equal(dorefa_weight(torch.tensor([-1.0, 3.0]), 1), torch.tensor([-2.0, 2.0]))
    values = torch.tensor([-1.0, 0.2, 0.5, 0.9, 7.0])
    assert torch.allclose(dorefa_activation(values, 2), torch.tensor([0, 1 / 3, 2 / 3, 1, 1]), atol=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_dorefa_weight_against_numpy(bits: int) -> None:
    weight = draws(4, 3, 3, 3).double().requires_grad_()
    up = draws(4, 3, 3, 3, seed=1).double()
    used = dorefa_weight(weight, bits)
    used.backward(up)
    w, g, top = weight.detach().numpy(), up.numpy(), 2**bits - 1
    t = np.tanh(w)
    m = np.abs(t).max()
    expected = 2 * np.round((t / (2 * m) + 0.5) * top) / top - 1
    assert np.allclose(used.detach().numpy(), expected)
    # d(t / m): the largest one also moves m.
    dt = g / m
    at = np.unravel_index(np.abs(t).argmax(), t.shape)
    dt[at] -= np.sign(t[at]) * (g * t).sum() / m**2
    assert weight.grad is not None and np.allclose(weight.grad.numpy(), dt * (1 - t**2))


@pytest.mark.parametrize(("lower", "upper"), [(-8, 7), (0, 15), (-2, 1), (0, 1)])
def test_on_grid_against_numpy(lower: int, upper: int) -> None:
    values = (draws(5, 40) * 3).requires_grad_()
    step, up = torch.tensor(0.37, requires_grad=True), draws(5, 40, seed=2)
    on_grid(values, step, lower, upper, gradient_factor=0.25).backward(up)
    v, s, g = values.detach().double().numpy(), float(step.detach()), up.double().numpy()
    inside = (v / s > lower) & (v / s < upper)
    slope = np.where(inside, np.round(v / s) - v / s, np.clip(v / s, lower, upper))
    assert values.grad is not None and step.grad is not None
    assert np.allclose(values.grad.numpy(), g * inside)
    assert float(step.grad) == pytest.approx(0.25 * (g * slope).sum(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("lower", "upper"), [(-8, 7), (0, 15)])
def test_on_grid_agrees_with_torchs_learnable_quantiser(lower: int, upper: int) -> None:
    mine, theirs = (draws(6, 50).mul(2).requires_grad_() for _ in range(2))
    step, scale = torch.tensor(0.21, requires_grad=True), torch.tensor([0.21], requires_grad=True)
    up = draws(6, 50, seed=3)
    first = on_grid(mine, step, lower, upper)
    second = torch._fake_quantize_learnable_per_tensor_affine(theirs, scale, torch.zeros(1), lower, upper)
    assert torch.allclose(first, second, atol=1e-6)
    first.backward(up)
    second.backward(up)
    assert mine.grad is not None and theirs.grad is not None and step.grad is not None and scale.grad is not None
    # Theirs passes the gradient of all that rounds to a level.
    outside = (mine.detach() / 0.21 < lower) | (mine.detach() / 0.21 > upper)
    rounds = (mine.detach() / 0.21).round().clamp(lower, upper) == (mine.detach() / 0.21).round()
    same = ~(outside & rounds)
    assert torch.equal(mine.grad[same], theirs.grad[same])


def test_affine_agrees_with_torch_by_channel() -> None:
    weight = draws(5, 2, 3, 3)
    mine, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    used = AffineWeight(weight, 8)(mine)
    scale = symmetric_scale(weight, 8).flatten()
    other = torch.fake_quantize_per_channel_affine(theirs, scale, torch.zeros(5, dtype=torch.int32), 0, -127, 127)
    assert torch.allclose(used, other, atol=1e-7)
    up = draws(5, 2, 3, 3, seed=4)
    used.backward(up)
    other.backward(up)
    assert mine.grad is not None and theirs.grad is not None and torch.equal(mine.grad, theirs.grad)


def test_affine_activation_agrees_with_torch() -> None:
    values = (draws(4, 30) + 0.5).requires_grad_()
    layer = AffineActivation(8)
    used = layer(values)
    grid = layer.grid()
    other = torch.fake_quantize_per_tensor_affine(values.detach(), grid.scale, grid.zero_point, 0, 255)
    assert torch.allclose(used, other, atol=1e-6)
    layer.eval()
    before = layer.ends.clone()
    layer(values * 3)
    assert torch.equal(layer.ends, before)
    layer.train()(values * 3)
    assert torch.allclose(layer.ends, before * 1.2, atol=1e-6)


def test_pact_by_hand() -> None:
    values = torch.tensor([-1.0, 0.4, 1.4, 3.0, 5.0], requires_grad=True)
    height = torch.tensor(3.0, requires_grad=True)
    used = pact_activation(values, height, 2)
    assert torch.equal(used.detach(), torch.tensor([0.0, 0.0, 1.0, 3.0, 3.0]))
    used.backward(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert values.grad is not None and height.grad is not None
    assert values.grad.tolist() == [0.0, 2.0, 4.0, 0.0, 0.0]
    # Cut are 3 and 5: their gradients alone reach the height.
    assert float(height.grad) == 24.0


@settings(max_examples=60)
@given(st.integers(2, 8), st.integers(0, 10_000), st.sampled_from(["dorefa", "lsq", "affine"]))
def test_weights_have_few_levels_and_codes_say_which(bits: int, seed: int, kind: str) -> None:
    weight = draws(6, 4, 3, 3, seed=seed) * 10 ** float(draws(1, seed=seed + 1))
    kinds: dict[str, Any] = {"dorefa": DorefaWeight, "lsq": LsqWeight, "affine": AffineWeight}
    quantiser = kinds[kind](weight, bits)
    used = quantiser(weight).detach()
    for channel in used if kind == "affine" else [used]:
        assert len(channel.unique()) <= 2**bits
    codes = quantiser.codes(weight)
    assert codes.codes.dtype == torch.uint8 and int(codes.codes.max()) < 2**bits
    assert torch.allclose(codes.values(), used, atol=1e-5 * float(used.abs().max()) + 1e-12)
    # Greater weights never become smaller ones.
    for channel, raw in zip(used, weight, strict=True) if kind == "affine" else [(used, weight)]:
        order = raw.flatten().argsort()
        assert bool((channel.flatten()[order].diff() >= -1e-6 * float(used.abs().max())).all())
    if kind != "dorefa":
        assert torch.allclose(quantiser(used), used, atol=1e-5 * float(used.abs().max()) + 1e-12)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", [LsqActivation, PactActivation, AffineActivation])
def test_activations_have_few_levels_and_the_grid_says_which(bits: int, kind: type) -> None:
    values = draws(3, 50).relu()
    quantiser = kind(bits)
    used, grid = quantiser(values).detach(), quantiser.grid()
    levels = used / grid.scale + grid.zero_point
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert grid.lower - 1e-3 <= float(levels.min()) and float(levels.max()) <= grid.upper + 1e-3
    assert grid.upper - grid.lower == 2**bits - 1


@pytest.mark.parametrize(
    "values", [torch.zeros(2, 8), torch.full((2, 8), 3.0), torch.zeros(1, 1), torch.tensor([[1e-30, 2e-30]])]
)
def test_degenerate_input_stays_finite(values: torch.Tensor) -> None:
    for bits in (1, 2, 8):
        modules: list[Any] = [PactActivation(bits), AffineActivation(bits), LsqActivation(bits)]
        for module in modules:
            leaf = values.clone().requires_grad_()
            module(leaf).sum().backward()
            assert leaf.grad is not None and bool(leaf.grad.isfinite().all())
            assert all(bool(p.grad.isfinite().all()) for p in module.parameters() if p.grad is not None)
        kinds: list[Any] = [DorefaWeight] if bits == 1 else [DorefaWeight, LsqWeight, AffineWeight]
        for kind in kinds:
            leaf = values.clone().requires_grad_()
            module = kind(values, bits)
            used = module(leaf)
            used.sum().backward()
            assert bool(used.isfinite().all()) and leaf.grad is not None and bool(leaf.grad.isfinite().all())
            assert torch.allclose(module.codes(values).values(), used.detach(), atol=1e-6)


def test_zero_weights_stay_zero() -> None:
    kinds: list[Any] = [DorefaWeight, LsqWeight, AffineWeight]
    for kind in kinds:
        assert not bool(kind(torch.zeros(3, 4), 4)(torch.zeros(3, 4)).any())


def test_signs_are_seen_from_the_first_batch() -> None:
    unsigned, signed = LsqActivation(4), LsqActivation(4)
    unsigned(draws(4, 9).relu())
    signed(draws(4, 9))
    assert (unsigned.grid().lower, unsigned.grid().upper) == (0, 15)
    assert (signed.grid().lower, signed.grid().upper) == (-8, 7)
    loaded = LsqActivation(4)
    loaded.load_state_dict(signed.state_dict())
    assert loaded.grid() == signed.grid() and torch.equal(loaded(draws(2, 9)), signed(draws(2, 9)))
    with pytest.raises(InputError, match="negative values"):
        LsqActivation(1)(draws(4, 9))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite(dtype: torch.dtype) -> None:
    values = draws(16, 200).to(dtype).requires_grad_()
    for module in (LsqActivation(4), PactActivation(4), AffineActivation(4)):
        out = module(values)
        out.sum().backward()
        assert bool(out.isfinite().all()) and all(bool(p.grad.isfinite().all()) for p in module.parameters())


@pytest.mark.parametrize("bits", [0, 9, 2.5, True, "4"])
def test_wrong_bits_are_named(bits: object) -> None:
    for call in (lambda: dorefa_weight(torch.ones(2), bits), lambda: LsqWeight(torch.ones(2), bits)):
        with pytest.raises(InputError, match="bits must be a whole number from"):
            call()
