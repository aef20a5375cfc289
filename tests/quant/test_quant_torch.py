"""Values and gradients of the affine quantisers and of LSQ against torch's own fake quantisers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rolewise.quant import AffineActivation, AffineWeight, LsqActivation, LsqWeight, on_grid, symmetric_scale


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def off_the_edges(values: Tensor, step: float, lower: int, upper: int) -> Tensor:
    """Moves values away from where the two differ on purpose, and from the middle between two levels.

    LSQ cuts, then rounds: its gradient ends where the end of the range is. Torch rounds, then cuts: its gradient ends
    half a step further out.
    """
    levels = values / step
    levels = torch.where((levels - levels.floor() - 0.5).abs() < 0.02, levels + 0.1, levels)
    levels = torch.where((levels >= upper) & (levels < upper + 0.6), upper + 0.7, levels)
    levels = torch.where((levels <= lower) & (levels > lower - 0.6), lower - 0.7, levels)
    return levels * step


def theirs(values: Tensor, step: float, lower: int, upper: int, share: float, up: Tensor) -> tuple[Tensor, ...]:
    """Returns torch's values, and its gradients to the input and the step."""
    leaf, scale = values.clone().requires_grad_(), torch.tensor([step], requires_grad=True)
    out = torch._fake_quantize_learnable_per_tensor_affine(leaf, scale, torch.zeros(1), lower, upper, share)
    gradients = torch.autograd.grad(out, (leaf, scale), up)
    return out.detach(), *gradients


@pytest.mark.parametrize(("lower", "upper"), [(-2, 1), (-8, 7), (-128, 127), (0, 1), (0, 3), (0, 15), (0, 255)])
@pytest.mark.parametrize("share", [1.0, 0.037])
def test_a_learned_step_on_any_range(lower: int, upper: int, share: float) -> None:
    step = 3.1 / (upper - lower)
    values, up = off_the_edges(draws(7, 60) * 2, step, lower, upper), draws(7, 60, seed=1)
    assert bool((values / step > upper).any()) and bool((values / step < lower).any())
    leaf, own = values.clone().requires_grad_(), torch.tensor(step, requires_grad=True)
    out = on_grid(leaf, own, lower, upper, gradient_factor=share)
    out.backward(up)
    value, to_values, to_step = theirs(values, step, lower, upper, share, up)
    torch.testing.assert_close(out.detach(), value, atol=1e-6, rtol=1e-5)
    assert torch.equal(leaf.grad, to_values)
    assert float(own.grad) == pytest.approx(float(to_step), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_lsq_of_weights(bits: int) -> None:
    raw, up = draws(6, 3, 3, 3) * 0.2, draws(6, 3, 3, 3, seed=1)
    quantiser = LsqWeight(raw, bits)
    lower, upper, step = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, float(quantiser.step.detach())
    # The paper's: 2 mean|w| / sqrt(p), and for the gradient 1 / sqrt(N p).
    assert step == pytest.approx(2 * float(raw.abs().mean()) / math.sqrt(upper), rel=1e-5)
    weight = off_the_edges(raw, step, lower, upper).requires_grad_()
    out = quantiser(weight)
    out.backward(up)
    share = 1 / math.sqrt(raw.numel() * upper)
    value, to_weight, to_step = theirs(weight.detach(), step, lower, upper, share, up)
    torch.testing.assert_close(out.detach(), value, atol=1e-6, rtol=1e-5)
    assert torch.equal(weight.grad, to_weight)
    assert float(quantiser.step.grad) == pytest.approx(float(to_step), rel=1e-4, abs=1e-5)


# One bit has no levels for both signs.
@pytest.mark.parametrize(
    ("bits", "signed"), [(1, False), (2, False), (4, False), (8, False), (2, True), (4, True), (8, True)]
)
def test_lsq_of_inputs(bits: int, signed: bool) -> None:
    lower, upper = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    raw, up = draws(5, 4, 6), draws(5, 4, 6, seed=1)
    raw = raw if signed else raw.relu()
    quantiser = LsqActivation(bits).train()
    quantiser(raw)
    step = float(quantiser.step.detach())
    values = off_the_edges(raw, step, lower, upper).requires_grad_()
    out = quantiser(values)
    out.backward(up)
    # N values of one image.
    value, to_values, to_step = theirs(values.detach(), step, lower, upper, 1 / math.sqrt(24 * upper), up)
    torch.testing.assert_close(out.detach(), value, atol=1e-6, rtol=1e-5)
    assert torch.equal(values.grad, to_values)
    assert float(quantiser.step.grad) == pytest.approx(float(to_step), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("shape", [(5, 2, 3, 3), (4, 3, 5), (6, 7)])
def test_affine_weights_by_channel(bits: int, shape: tuple[int, ...]) -> None:
    mine, other = (draws(*shape).requires_grad_() for _ in range(2))
    up, top = draws(*shape, seed=4), 2 ** (bits - 1) - 1
    out = AffineWeight(mine.detach(), bits)(mine)
    out.backward(up)
    scale = other.detach().flatten(1).abs().amax(1) / top
    zeros = torch.zeros(shape[0], dtype=torch.int32)
    expected = torch.fake_quantize_per_channel_affine(other, scale, zeros, 0, -top, top)
    expected.backward(up)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(mine.grad, other.grad)


@pytest.mark.parametrize("bits", [2, 8])
def test_affine_weights_of_one_scale(bits: int) -> None:
    mine, other = (draws(4, 9).requires_grad_() for _ in range(2))
    up, top = draws(4, 9, seed=4), 2 ** (bits - 1) - 1
    out = AffineWeight(mine.detach(), bits, per_channel=False)(mine)
    out.backward(up)
    scale = float(symmetric_scale(other.detach(), bits, per_channel=False))
    expected = torch.fake_quantize_per_tensor_affine(other, scale, 0, -top, top)
    expected.backward(up)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(mine.grad, other.grad)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("shift", [-3.0, 0.4, 2.0])
def test_affine_inputs_whose_ends_lag_behind(bits: int, shift: float) -> None:
    quantiser = AffineActivation(bits).train()
    ends = [0.0, 0.0]
    # Torch's own observer of a moving average, with the same momentum.
    observer = torch.ao.quantization.MovingAverageMinMaxObserver(averaging_constant=0.1)
    for seed in range(4):
        mine, other = (((draws(4, 30, seed=seed) + shift) * (1 + seed)).requires_grad_() for _ in range(2))
        out = quantiser(mine)
        observer(other.detach())
        ends = [min(float(observer.min_val), 0.0), max(float(observer.max_val), 0.0)]
        scale = (ends[1] - ends[0]) / (2**bits - 1)
        zero = round(-ends[0] / scale)
        expected = torch.fake_quantize_per_tensor_affine(other, scale, zero, 0, 2**bits - 1)
        up = draws(4, 30, seed=seed + 10)
        out.backward(up)
        expected.backward(up)
        # What lies in the middle between two levels, to a rounding, may fall to either.
        level = (other.detach() / scale).double()
        sure = (level - level.floor() - 0.5).abs() > 1e-4
        assert float(sure.double().mean()) > 0.95
        torch.testing.assert_close(out[sure], expected[sure], atol=1e-5, rtol=1e-5)
        assert torch.equal(mine.grad[sure], other.grad[sure])
