"""Values and gradients of every quantiser against the building blocks of Brevitas, where it has the same one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rolewise.quant import (
    AffineActivation,
    AffineWeight,
    LsqActivation,
    dorefa_activation,
    dorefa_weight,
    on_grid,
    pact_activation,
)

pytest.importorskip("brevitas")
from brevitas.core.function_wrapper import Identity, ScalarClamp, TensorClamp
from brevitas.core.quant import BinaryQuant, IntQuant
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from brevitas.core.stats import AbsAve, AbsMax


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def integers(signed: bool, narrow: bool = False) -> Any:
    """Brevitas's rounding to whole numbers: (scale, zero point, bits, values) -> values."""
    return IntQuant(narrow_range=narrow, signed=signed, input_view_impl=Identity())


def number(value: float) -> Tensor:
    return torch.tensor(float(value))


def gradients(out: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, leaves, draws(*out.shape, seed=99))


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether gradients are 0 in the same places, and equal in all others to rounding: theirs goes through a step."""
    return torch.equal(one == 0, other == 0) and torch.allclose(one, other, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_a_learned_step(bits: int, signed: bool) -> None:
    lower, upper = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    step = number(2.5 / (upper - lower))
    levels = draws(6, 50) * (upper - lower)
    # Brevitas rounds, then cuts; LSQ cuts, then rounds. In the half step beyond each end their gradients differ.
    levels = levels[((levels - upper).sub(0.3).abs() > 0.35) & ((levels - lower).add(0.3).abs() > 0.35)]
    assert bool((levels > upper).any()) and bool((levels < lower).any())
    mine, other = (((levels * step).requires_grad_(), step.clone().requires_grad_()) for _ in range(2))
    out = on_grid(mine[0], mine[1], lower, upper)
    expected = integers(signed)(other[1], number(0), number(bits), other[0])
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    ours, theirs = gradients(out, *mine), gradients(expected, *other)
    assert alike(ours[0], theirs[0])
    assert float(ours[1]) == pytest.approx(float(theirs[1]), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_step_that_begins_with_the_first_training_batch(bits: int) -> None:
    upper = 2 ** (bits - 1) - 1
    first, second = draws(8, 30), draws(8, 30, seed=1)
    # Theirs is learned as step times sqrt(p) / 2, and begins with mean|v|: LSQ's first step.
    threshold = number(math.sqrt(upper) / 2)
    quantiser, scaling = LsqActivation(bits).train(), ParameterFromRuntimeStatsScaling(1, AbsAve()).train()
    step = scaling(first, threshold)
    torch.testing.assert_close(quantiser(first), integers(True)(step, number(0), number(bits), first))
    for _ in range(2):
        step = scaling(second, threshold)
        # Away from the half step beyond each end, and from the middle between two levels.
        levels = (second / step).detach()
        sure = (levels - upper / 2 + (upper + 1) / 2).abs().sub(upper + 0.75).abs() > 0.3
        sure &= (levels - levels.floor() - 0.5).abs() > 1e-3
        up = draws(8, 30, seed=2) * sure
        out, expected = quantiser(second), integers(True)(step, number(0), number(bits), second)
        torch.testing.assert_close(out[sure], expected[sure], atol=1e-6, rtol=1e-5)
        (ours,) = torch.autograd.grad(out, quantiser.step, up)
        (theirs,) = torch.autograd.grad(expected, scaling.value, up)
        share = 1 / math.sqrt(30 * upper)
        assert float(ours) == pytest.approx(float(theirs * threshold) * share, rel=1e-3, abs=1e-5)
        with torch.no_grad():
            quantiser.step.mul_(1.3)
            scaling.value.mul_(1.3)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_affine_weights_with_the_scale_of_its_statistics(bits: int) -> None:
    mine, other = (draws(5, 2, 3, 3).requires_grad_() for _ in range(2))
    top = 2 ** (bits - 1) - 1
    threshold = AbsMax(stats_reduce_dim=1)(other.detach().flatten(1)).view(5, 1, 1, 1)
    expected = integers(True, narrow=True)(threshold / top, number(0), number(bits), other)
    out = AffineWeight(mine.detach(), bits)(mine)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    assert alike(gradients(out, mine)[0], gradients(expected, other)[0])


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_affine_inputs_with_a_zero_point(bits: int) -> None:
    mine, other = ((draws(4, 40) + 0.6).requires_grad_() for _ in range(2))
    quantiser = AffineActivation(bits).train()
    quantiser(mine.detach() * 0.3)  # so that some values lie outside
    quantiser.eval()
    grid = quantiser.grid()
    out = quantiser(mine)
    expected = integers(False)(number(grid.scale), number(grid.zero_point), number(bits), other)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    ours, theirs = gradients(out, mine)[0], gradients(expected, other)[0]
    assert alike(ours, theirs) and bool((ours == 0).any())


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_pact(bits: int) -> None:
    top = 2**bits - 1
    mine, other = (((draws(6, 40) * 2).requires_grad_(), number(1.7).requires_grad_()) for _ in range(2))
    out = pact_activation(*mine, bits)
    # Cut at the learned height, then rounded with a step that learns nothing: equations 1 and 3 of the paper.
    cut = TensorClamp()(other[0], number(0), other[1])
    expected = integers(False)(other[1].detach() / top, number(0), number(bits), cut)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    ours, theirs = gradients(out, *mine), gradients(expected, *other)
    assert alike(ours[0], theirs[0])
    assert float(ours[1]) == pytest.approx(float(theirs[1]), rel=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_dorefa_weights(bits: int) -> None:
    mine, other = (draws(4, 3, 3, 3).requires_grad_() for _ in range(2))
    bent = torch.tanh(other)
    unit = bent / (2 * AbsMax()(bent)) + 0.5
    expected = 2 * integers(False)(number(1 / (2**bits - 1)), number(0), number(bits), unit) - 1
    out = dorefa_weight(mine, bits)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(out, mine)[0], gradients(expected, other)[0], atol=1e-5, rtol=1e-5)


def test_dorefa_weights_of_one_bit() -> None:
    mine, other = (draws(4, 9).requires_grad_() for _ in range(2))
    size = other.detach().abs().mean()
    expected, *_ = BinaryQuant(lambda values: size)(other)
    out = dorefa_weight(mine, 1)
    torch.testing.assert_close(out, expected)
    # Brevitas multiplies the gradient by the size; DoReFa's released code lets it pass as it is.
    torch.testing.assert_close(gradients(out, mine)[0] * size, gradients(expected, other)[0])


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_dorefa_inputs(bits: int) -> None:
    mine, other = (draws(6, 40).requires_grad_() for _ in range(2))
    out = dorefa_activation(mine, bits)
    cut = ScalarClamp(0.0, 1.0)(other)
    expected = integers(False)(number(1 / (2**bits - 1)), number(0), number(bits), cut)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    assert alike(gradients(out, mine)[0], gradients(expected, other)[0])
