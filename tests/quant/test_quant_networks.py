"""Whole networks at few bits: converted, trained, restored, folded, counted."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from rolewise.errors import InputError
from rolewise.models import MODELS, build
from rolewise.quant import QUANTISERS, fold_batch_norm, operations, quantise, quantised_layers, restore, size_in_bytes

SIZES = {"small_cnn": (1, 8, 8), "cnn28": (1, 28, 28)}
SMALL = ["small_cnn", "cnn28", "resnet8", "resnet8x4", "wrn_16_1"]


def network(name: str = "small_cnn") -> nn.Module:
    channels, height, width = SIZES.get(name, (3, 32, 32))
    return build(name, num_classes=10, channels=channels, size=(height, width), seed=0)


def images(name: str = "small_cnn", count: int = 4) -> torch.Tensor:
    return torch.rand(count, *SIZES.get(name, (3, 32, 32)), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [name for name in SMALL if name in MODELS])
def test_conversion_keeps_names_taps_and_weights_and_comes_back(name: str) -> None:
    model = network(name).eval()
    low = quantise(model, 4).eval()
    assert low.taps == model.taps
    assert set(model.state_dict()) <= set(low.state_dict())
    layers = [type(module).__name__ for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(list(quantised_layers(low))) == len(layers) - 2
    missing, unexpected = low.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all("_quantiser." in key for key in missing)
    low(images(name))
    back = restore(low)
    assert set(back.state_dict()) == set(model.state_dict()) and not list(quantised_layers(back))
    assert torch.equal(back(images(name)), model(images(name)))


def test_nothing_quantised_changes_nothing() -> None:
    model = network().eval()
    assert torch.equal(quantise(model, None).eval()(images()), model(images()))
    assert not list(quantised_layers(quantise(model, {"weights": None, "activations": 32})))


def test_bits_by_layer_and_by_part() -> None:
    model = network("resnet8")
    low = quantise(model, {"weights": 2, "activations": 4}, layers={"stages.1.*": 8})
    for path, layer in quantised_layers(low):
        expected = (8, 8) if path.startswith("stages.1") else (2, 4)
        assert (layer.weight_bits, layer.activation_bits) == expected
    only = quantise(model, {"weights": 3}, keep=())
    layer = next(layer for _, layer in quantised_layers(only))
    assert layer.activation_bits == 32 and layer.grid() is None


class Other(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv1d(2, 4, 3, padding=1, groups=2)
        self.two = nn.Conv2d(4, 4, 3, groups=4, padding=1, padding_mode="reflect")
        self.three = nn.Linear(4, 3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        hidden = self.one(values).unsqueeze(2).expand(-1, -1, 4, -1)
        return self.three(self.two(hidden).mean((2, 3)))


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
def test_any_module_grouped_and_one_dimensional(quantiser: str) -> None:
    torch.manual_seed(0)
    model = Other()
    values = torch.rand(3, 2, 8)
    low = quantise(model, 8, quantiser=quantiser, keep=())
    assert [path for path, _ in quantised_layers(low)] == ["one", "two", "three"]
    low.train()(values)
    if quantiser in ("lsq", "affine"):
        # Eight bits of LSQ's first step cut more than they round; after all it is near.
        assert torch.allclose(low.eval()(values), model(values), atol=0.15)
    low.eval()
    for stored in (pickle.dumps(low), None):
        again = pickle.loads(stored) if stored else copy.deepcopy(low)
        assert torch.equal(again(values), low(values))
    buffer = io.BytesIO()
    torch.save(low.state_dict(), buffer)
    buffer.seek(0)
    fresh = quantise(Other(), 8, quantiser=quantiser, keep=()).eval()
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(fresh(values), low(values))
    assert torch.allclose(low(values[:1]), low(values)[:1], atol=1e-5)


class Own(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 0}, "bits: bits must be a whole number from 1 to 8, got 0"),
        ({"bits": {"weight": 2}}, "must name weights and activations"),
        ({"quantiser": "lqs"}, 'did you mean "lsq"'),
        ({"layers": {"stages.9.*": 2}}, "layers must match layers of the network, got 'stages.9"),
        ({"keep": ["frist"]}, "keep must match layers"),
        ({"bits": 1}, "take the quantiser dorefa"),
    ],
)
def test_wrong_settings_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantise(network(), **arguments)


def test_what_cannot_be_converted_is_named() -> None:
    with pytest.raises(InputError, match="got none"):
        quantise(nn.ReLU())
    with pytest.raises(InputError, match="layer 1 must be exactly Linear"):
        quantise(nn.Sequential(nn.Linear(2, 2), Own(2, 2), nn.Linear(2, 2)))
    with pytest.raises(InputError, match="quantised already"):
        quantise(quantise(network(), 4), 2)


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
def test_two_bits_train(quantiser: str) -> None:
    digits = load_digits()
    pixels = torch.tensor(digits.images / 16, dtype=torch.float).unsqueeze(1)[:600]
    labels = torch.tensor(digits.target)[:600]
    low = quantise(network(), 2, quantiser=quantiser).train()
    optimizer = torch.optim.Adam(low.parameters(), 0.01)
    order = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        index = torch.randperm(600, generator=order)[:100]
        loss = nn.functional.cross_entropy(low(pixels[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    low.eval()
    with torch.no_grad():
        assert torch.equal(low(pixels), low(pixels))


@pytest.mark.parametrize("name", [name for name in SMALL if name in MODELS])
def test_folded_norms_change_nothing(name: str) -> None:
    model = network(name).train()
    for _ in range(3):
        model(images(name, 8) * 2)
    model.eval()
    folded = fold_batch_norm(model)
    assert torch.allclose(folded(images(name)), model(images(name)), atol=1e-5)
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) for net in (model, folded)]
    assert norms[1] < norms[0]


def test_a_network_that_cannot_be_traced_is_named() -> None:
    class Branching(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values if bool(values.sum() > 0) else -values

    with pytest.raises(InputError, match="traceable"):
        fold_batch_norm(Branching())


def test_operations_and_bytes_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten())
    model.append(nn.Linear(8 * 4 * 4, 10))
    macs = 8 * 6 * 6 * 27, 8 * 4 * 4 * 9, 1280
    cost = operations(model, (3, 6, 6))
    assert cost.macs == sum(macs) and cost.bit_operations == 1024 * sum(macs)
    low = quantise(model, {"weights": 2, "activations": 4})
    cost = operations(low, (3, 6, 6))
    assert cost.bit_operations == 1024 * (macs[0] + macs[2]) + 8 * macs[1]
    # Counting is not the first batch that learned ranges begin with.
    assert not any(bool(value) for name, value in low.state_dict().items() if name.endswith("ready"))
    # 72 weights of 2 bits instead of 32, and one learned step for weights and one for inputs.
    assert size_in_bytes(low) == size_in_bytes(model) - 72 * 4 + 72 * 2 // 8 + 2 * 4


def test_operations_of_layers_whose_first_axis_is_no_batch() -> None:
    class TokensFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixing, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.mixing(images.flatten(2).permute(2, 0, 1)).mean(0))

    # The first layer runs at each of the 5 x 2 places.
    assert operations(TokensFirst(), (4, 5, 2)).macs == 10 * 4 * 6 + 6 * 3
