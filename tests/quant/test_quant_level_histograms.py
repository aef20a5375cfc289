"""Histograms of weights and inputs: counted by hand, against numpy, and without a trace on the network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from rolewise.models import build
from rolewise.quant import quantise, quantised_layers
from rolewise.quant.level_histograms import layer_histograms


def network(quantiser: str, bits: int, keep: tuple[str, ...] = ("first", "last")) -> nn.Module:
    low = quantise(
        build("small_cnn", num_classes=3, channels=1, seed=1, widths=[4, 6, 8]), bits, quantiser=quantiser, keep=keep
    )
    low.train()(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    return low.eval()


def images(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


CASES = [("lsq", 2), ("lsq", 4), ("dorefa", 1), ("dorefa", 2), ("dorefa", 8), ("pact", 3), ("affine", 2), ("affine", 8)]


@pytest.mark.parametrize(("quantiser", "bits"), CASES)
def test_weights_are_counted_as_they_are_rounded(quantiser: str, bits: int) -> None:
    low = network(quantiser, bits)
    for _, layer in quantised_layers(low) if quantiser == "lsq" else []:
        layer.weight_quantiser.step.data.mul_(0.3)  # as after training: some weights are cut
    for found, (path, layer) in zip(layer_histograms(low, [images()]), quantised_layers(low), strict=True):
        weight = layer.weight.detach().double().numpy()
        codes = layer.codes()
        assert found.layer == path and found.weights is not None and codes is not None
        if quantiser in ("dorefa", "pact") and bits > 1:
            values, unit = np.tanh(weight) / np.abs(np.tanh(weight)).max(), "tanh"
        elif quantiser == "affine":
            values, unit = weight / codes.scale.double().numpy(), "step"
        else:
            values, unit = weight, "value"
        drawn = found.weights
        assert (drawn.unit, drawn.bits, sum(drawn.counts)) == (unit, bits, weight.size)
        levels = np.array(drawn.levels)
        assert len(levels) == 2**bits - (quantiser == "affine") and np.allclose(np.diff(levels, 2), 0, atol=1e-5)
        # The nearest level of what is drawn is the code that the layer computes with.
        nearest = np.abs(values.reshape(-1, 1) - levels).argmin(1)
        assert (nearest == codes.codes.flatten().numpy()).mean() > 0.999
        assert drawn.used == len(codes.codes.unique())
        expected, _ = np.histogram(values, bins=64, range=(drawn.low, drawn.high))
        assert np.abs(expected - np.array(drawn.counts)).sum() <= 2  # a value on an edge, in single precision
        margin = 1e-4 * (levels[1] - levels[0])
        cut = ((values < levels[0] - margin) | (values > levels[-1] + margin)).mean()
        assert drawn.cut == (None if bits == 1 else pytest.approx(cut, abs=1e-9))
        assert (cut > 0) == (quantiser == "lsq" or bits == 1)


def test_inputs_are_those_of_the_layer_over_all_batches() -> None:
    layer = nn.Linear(4, 2)
    low = quantise(nn.Sequential(nn.ReLU(), layer), 2, keep=())
    quantised = low[1]
    quantised.activation_quantiser.step.data.fill_(0.5)  # levels 0, .5, 1, 1.5
    quantised.activation_quantiser.ready.fill_(True)
    batches = [torch.tensor([[-1.0, 0.1, 0.6, 0.9]]), torch.tensor([[1.6, 3.0, 1.5, 0.0]])]
    found = layer_histograms(low, batches, bins=3)[0].inputs
    assert found is not None and (found.low, found.high, found.unit) == (0.0, 3.0, "value")
    assert found.levels == (0.0, 0.5, 1.0, 1.5)
    # Behind the ReLU: 0, .1, .6, .9 | 1.6, 1.5 | 3, two of which lie beyond 1.5; nothing else is left out.
    assert found.counts == (5, 2, 1) and found.cut == 2 / 8 and found.used == 4


@pytest.mark.parametrize("quantiser", ["lsq", "dorefa", "pact", "affine"])
def test_how_the_images_are_batched_does_not_matter_and_nothing_changes(quantiser: str) -> None:
    low = network(quantiser, 3, keep=()).train()
    before = {name: tensor.clone() for name, tensor in low.state_dict().items()}
    whole, parts = layer_histograms(low, [images()]), layer_histograms(low, list(images().split(2)))
    assert [one.weights for one in whole] == [one.weights for one in parts] and len(whole) == 4
    for one, other in zip(whole, parts, strict=True):
        assert (
            one.inputs is not None and other.inputs is not None and sum(one.inputs.counts) == sum(other.inputs.counts)
        )
        assert one.inputs.cut == pytest.approx(other.inputs.cut, abs=1e-3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in low.state_dict().items())
    assert low.training and not any(module._forward_pre_hooks for module in low.modules())
    assert json.loads(json.dumps([one.to_json() for one in whole]))[0]["layer"] == whole[0].layer


def test_parts_in_floating_point_and_inputs_without_levels_are_left_out() -> None:
    model = build("small_cnn", num_classes=3, channels=1, widths=[4, 6, 8])
    weights_only = layer_histograms(quantise(model, {"weights": 2}), [images()])
    inputs_only = layer_histograms(quantise(model, {"activations": 2}, quantiser="dorefa"), [images()])
    untrained = layer_histograms(quantise(model, 2), [images()])
    nobody = layer_histograms(network("lsq", 2), [])
    assert weights_only[0].inputs is None and weights_only[0].weights is not None
    assert inputs_only[0].weights is None and inputs_only[0].inputs is not None
    assert untrained[0].inputs is None and nobody[0].inputs is None
    assert inputs_only[0].to_json()["weights"] is None


def test_an_input_that_is_given_by_name_is_counted_too() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 2)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.head(input=values)

    found = layer_histograms(quantise(ByName(), 2, quantiser="dorefa", keep=()), [torch.rand(5, 8)])[0].inputs
    assert found is not None and sum(found.counts) == 40
