"""predict: order, modes, devices, logit scales and the forms that it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.data import ImageBatch
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments import predict
from rolewise.instruments.prediction import scaled
from rolewise.networks import evaluating


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 4))


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(1))


def test_every_image_in_order_in_eval_mode_and_nothing_else_changes() -> None:
    model, x, y = network(), images(7), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = predict(model, [(x[:4], y[:4]), [x[4:], y[4:], "left alone"]])
    assert [module.training for module in model] == [True, True, False, True, True] and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not found.logits.requires_grad and torch.equal(found.labels, y)
    torch.testing.assert_close(found.logits, model.eval()(x).detach())


def test_modes_come_back_after_an_error() -> None:
    model = network()
    with pytest.raises(RuntimeError), evaluating(model):
        assert not model[3].training
        raise RuntimeError
    assert model[3].training


def test_uint8_images_specs_and_batches_of_the_data_room() -> None:
    model, y = network().eval(), torch.tensor([1, 2])
    raw = (images(2) * 255).to(torch.uint8)
    expected = model(raw.double().div(255).float()).detach()
    torch.testing.assert_close(predict(model, [(raw, y)]).logits, expected)
    torch.testing.assert_close(predict(model, [ImageBatch(raw, y, y)]).logits, expected)
    spec = InputSpec((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    pixels = (raw.double() / 255 - torch.tensor(spec.mean).view(3, 1, 1)) / 0.2
    torch.testing.assert_close(predict(model, [(raw, y)], spec=spec).logits, model(pixels.float()).detach())


def test_the_standardised_head_is_numpys() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z = logits.numpy()
    expected = z / z.std(1, ddof=1, keepdims=True)
    np.testing.assert_allclose(scaled(logits, "standardised").numpy(), expected, rtol=1e-12)
    model = nn.Sequential(nn.Flatten(), nn.Identity())
    found = predict(model, [(logits.view(5, 1, 2, 2), torch.zeros(5, dtype=torch.int64))], logit_scale="standardised")
    np.testing.assert_allclose(found.logits.numpy(), expected, rtol=1e-12)
    constant = scaled(torch.full((2, 3), 7.0), "standardised").softmax(1)
    torch.testing.assert_close(constant, torch.full((2, 3), 1 / 3))
    # The cap on confidence that follows for ten classes: one logit apart from nine equal ones.
    cap = scaled(torch.eye(10)[:1], "standardised").softmax(1).max()
    assert float(cap) == pytest.approx(1 / (1 + 9 * np.exp(-np.sqrt(10))), abs=1e-6) == pytest.approx(0.724, abs=1e-3)


def test_outputs_with_logits_and_half_precision() -> None:
    class Wrapped(nn.Module):
        def forward(self, x: Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=x.flatten(1).to(torch.bfloat16))

    assert predict(Wrapped(), [(images(2), torch.zeros(2, dtype=torch.int64))]).logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "at least one image"),
        ([(torch.zeros(0, 3, 2, 2), torch.zeros(0, dtype=torch.int64))], "at least one image"),
        ([images(2)], r"batches must give tensors \(images, labels\)"),
        ([(images(2), torch.zeros(3, dtype=torch.int64))], "labels must be classes"),
        ([(images(2), torch.zeros(2))], "labels must be classes"),
        ([(images(2), torch.tensor([0, 4]))], r"labels must be in \[0, 3\] for 4 logits, got 0 to 4"),
    ],
)
def test_other_forms_are_refused(batches: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(network(), batches)


def test_other_networks_and_heads_are_refused() -> None:
    batch = [(images(2), torch.zeros(2, dtype=torch.int64))]
    with pytest.raises(InputError, match=r"logits must have shape \[B, K\]"):
        predict(nn.Identity(), batch)
    with pytest.raises(InputError, match='did you mean "standardised"'):
        predict(network(), batch, logit_scale="standardized")  # type: ignore[arg-type]
