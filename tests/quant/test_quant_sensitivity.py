"""Sensitivity by layer: against numpy, and against what a network does when its layer is quantised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import quantise, quantised_layers, sensitivity


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_layers() -> Any:
    model: Any = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    for number, layer in enumerate((model[0], model[2])):
        layer.weight.data, layer.bias.data = draws(*layer.weight.shape, seed=number).double(), layer.bias.data * 0 + 0.1
    return model


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("batch_size", [4, 100])
def test_by_numpy(bits: int, batch_size: int) -> None:
    model, images, labels = two_layers(), draws(30, 5, seed=7).double(), torch.arange(30) % 3
    x, y = images.numpy(), labels.numpy()
    (w1, b1), (w2, b2) = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (model[0], model[2])
    )

    def weights(w: np.ndarray) -> np.ndarray:
        scale = np.abs(w).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
        return np.round(w / scale) * scale

    def inputs(v: np.ndarray) -> np.ndarray:
        low, high, top = min(v.min(), 0), max(v.max(), 0), 2**bits - 1
        scale = (high - low) / top
        zero = np.round(-low / scale)
        return (np.clip(np.round(v / scale + zero), 0, top) - zero) * scale

    hidden = np.maximum(x @ w1.T + b1, 0)
    plain = hidden @ w2.T + b2
    first = np.maximum(inputs(x) @ weights(w1).T + b1, 0) @ w2.T + b2
    second = inputs(hidden) @ weights(w2).T + b2
    found = sensitivity(model, images, labels, bits, batch_size=batch_size)
    assert found.accuracy == pytest.approx((plain.argmax(1) == y).mean())
    assert [layer.path for layer in found.layers] == ["0", "2"]
    for layer, logits in zip(found.layers, (first, second), strict=True):
        assert layer.logit_change == pytest.approx(np.square(logits - plain).mean(), rel=1e-3)
        assert layer.accuracy == pytest.approx((logits.argmax(1) == y).mean())
    order = sorted(found.layers, key=lambda layer: -layer.logit_change)
    assert found.most(1) == (order[0].path,) and len(found.most(5)) == 2


def test_a_trained_network_and_bits_chosen_by_it() -> None:
    digits = load_digits()
    pixels = torch.tensor(digits.images / 16, dtype=torch.float).unsqueeze(1)
    labels = torch.tensor(digits.target)
    model = build("resnet8", num_classes=10, channels=1, size=(8, 8), seed=0).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for start in range(0, 800, 100):
        nn.functional.cross_entropy(model(pixels[start : start + 100]), labels[start : start + 100]).backward()
        optimizer.step()
        optimizer.zero_grad()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    two, four, eight = (sensitivity(model, pixels[1000:1100], labels[1000:1100], bits) for bits in (2, 4, 8))
    assert model.training and all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert len(two.layers) == len(list(quantised_layers(quantise(model, 4, keep=()))))
    for low, middle, high in zip(two.layers, four.layers, eight.layers, strict=True):
        assert low.logit_change > middle.logit_change > high.logit_change > 0
        assert high.accuracy == pytest.approx(two.accuracy, abs=0.02)
    # What it is for: more bits where it says lose less than more bits where it says it hardly matters.
    order = two.most(len(two.layers))
    changes = []
    for chosen in (order[:4], order[-4:]):
        mixed = quantise(model, 2, quantiser="affine", keep=(), layers=dict.fromkeys(chosen, 8)).eval()
        with torch.no_grad():
            logits = mixed(pixels[1100:1300]) - model.eval()(pixels[1100:1300])
        changes.append(float(logits.square().mean()))
    assert changes[0] < changes[1]


def test_parts_and_kept_layers() -> None:
    model, images, labels = two_layers(), draws(20, 5).double(), torch.zeros(20, dtype=torch.int64)
    kept = sensitivity(model, images, labels, 2, keep=("first",))
    assert [layer.path for layer in kept.layers] == ["2"]
    whole, weights, inputs = (
        sensitivity(model, images, labels, bits).layers[0].logit_change
        for bits in (2, {"weights": 2}, {"activations": 2})
    )
    assert len({whole, weights, inputs}) == 3


def test_wrong_input_is_named() -> None:
    model, images, labels = two_layers(), draws(4, 5).double(), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(InputError, match=r"must be at least one and as many, got 4 and \[3\]"):
        sensitivity(model, images, labels[:3])
    with pytest.raises(InputError, match="at least one"):
        sensitivity(model, images[:0], labels[:0])
    with pytest.raises(InputError, match="quantised already; restore"):
        sensitivity(quantise(model, 4, keep=()), images, labels)
    with pytest.raises(InputError, match="bits must be below 32 for weights or activations, got None"):
        sensitivity(model, images, labels, None)
    with pytest.raises(InputError, match=r"must return logits \[B, K\]"):
        sensitivity(nn.Sequential(*model, nn.Unflatten(1, (3, 1))), images, labels)
