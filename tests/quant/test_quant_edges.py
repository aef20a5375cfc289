"""Where a quantiser or a conversion could quietly go wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rolewise.models import build
from rolewise.quant import (
    LsqActivation,
    PactActivation,
    dorefa_weight,
    fold_batch_norm,
    on_grid,
    quantise,
    quantised_layers,
    size_in_bytes,
)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_gradient_of_one_bit_weights_passes_as_it_is() -> None:
    weight, upstream = (normal(50) * 0.05).requires_grad_(), normal(50)
    used = dorefa_weight(weight, 1)
    used.backward(upstream)
    assert torch.equal(weight.grad, upstream)
    assert torch.equal(used.detach(), torch.where(weight.detach() >= 0, 1.0, -1.0) * weight.detach().abs().mean())


@pytest.mark.parametrize("quantiser", ["lsq", "affine", "dorefa", "pact"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("rows", [slice(1, 2), slice(None)])
def test_weights_of_zero_stay_finite_in_every_precision(quantiser: str, dtype: torch.dtype, rows: slice) -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])
    with torch.no_grad():
        for layer, start in zip(model, normal(3, 4, 4), strict=True):
            layer.weight.copy_(start)  # type: ignore[operator]
        model[1].weight[rows] = 0  # type: ignore[operator]
    low = quantise(model, 4, quantiser=quantiser).to(dtype)
    output = low(normal(5, 4).to(dtype))
    output.float().sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(weight.grad).all() for weight in low.parameters() if weight.grad is not None)


def test_a_narrow_step_in_half_precision_has_a_gradient() -> None:
    values = torch.tensor([-3.0, 2.0, 60000.0], dtype=torch.float16)
    step = torch.tensor(1e-3, requires_grad=True)
    on_grid(values, step, -8, 7).sum().backward()
    assert float(step.grad) == pytest.approx(-8 + 7 + 7, rel=1e-2)


def test_a_long_sum_keeps_its_precision() -> None:
    values, step = normal(400_000), torch.tensor(3 / 127, requires_grad=True)
    on_grid(values, step, -128, 127).sum().backward()
    wide = step.detach().double().requires_grad_()
    on_grid(values.double(), wide, -128, 127).sum().backward()
    torch.testing.assert_close(step.grad.double(), wide.grad, rtol=1e-2, atol=0.5)


def test_a_height_below_zero_can_come_back() -> None:
    quantiser = PactActivation(2)
    quantiser(torch.ones(10))
    with torch.no_grad():
        quantiser.height.fill_(-0.1)
    quantiser(torch.ones(10)).sum().backward()
    assert float(quantiser.height.grad) == pytest.approx(10)


def test_a_first_batch_of_zeros_decides_nothing() -> None:
    quantiser = LsqActivation(4)
    assert not quantiser(torch.zeros(3, 4)).any()
    quantiser(normal(3, 4) * 50)
    assert quantiser.grid().lower == -8 and quantiser.grid().scale > 5
    assert quantiser(torch.zeros(0, 4)).shape == (0, 4)


def test_a_float_checkpoint_sets_the_steps_anew() -> None:
    low, other = (quantise(build("small_cnn", num_classes=3), 4), build("small_cnn", num_classes=3, seed=5))
    with torch.no_grad():
        other.stages[1][0].weight.mul_(20)
    low.load_state_dict(other.state_dict(), strict=False)
    steps = [net.stages[1][0].weight_quantiser.step for net in (low, quantise(other, 4))]
    assert torch.equal(*steps)


def test_attention_modules_which_read_weights_themselves_are_left_alone() -> None:
    model = nn.ModuleDict({name: nn.Linear(4, 4) for name in "abc"})
    model["attention"] = nn.TransformerEncoderLayer(4, 2, 8)
    assert [path for path, _ in quantised_layers(quantise(model, 4, keep=()))] == ["a", "b", "c"]


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.batch = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)
        self.two, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, values: Tensor) -> Tensor:
        return self.norm(self.two(self.batch(self.one(values)))) + self.two.weight.sum()


def test_norms_without_statistics_and_weights_read_elsewhere_stay() -> None:
    model = Odd().eval()
    model.norm.running_var.fill_(3.0)
    values = normal(2, 1, 4, 4)
    folded = fold_batch_norm(model)
    assert isinstance(folded.norm, nn.BatchNorm2d) and isinstance(folded.batch, nn.BatchNorm2d)
    assert torch.allclose(folded(values), model(values), atol=1e-5)


def test_shared_weights_take_their_bytes_once() -> None:
    model = nn.Sequential(*[nn.Linear(4, 4, bias=False) for _ in range(3)])
    model[2].weight = model[1].weight
    assert size_in_bytes(model) == 2 * 64
