"""Which layers are converted, and at how many bits: patterns, what is kept, what is named by its own path."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import quantise, quantised_layers, restore


class Net(nn.Module):
    """Layers one, stages.0.a, stages.0.b, stages.1.a, stages.1.b and head.fc, with a norm that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        pairs = [{"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4)} for _ in range(2)]
        self.stages = nn.ModuleList(nn.ModuleDict(pair) for pair in pairs)
        self.head = nn.ModuleDict({"fc": nn.Linear(4, 2)})


INNER = ["stages.0.a", "stages.0.b", "stages.1.a", "stages.1.b"]


def bits(**arguments: object) -> dict[str, int]:
    low = quantise(Net(), **{"bits": 4, **arguments})
    return {path: layer.weight_bits for path, layer in quantised_layers(low)}


@pytest.mark.parametrize("around", ["stages.1", "stages.[1]", "stage*1"])
def test_a_pattern_of_modules_around_layers_means_these(around: str) -> None:
    assert bits(layers={around: 8}) == dict(zip(INNER, [4, 4, 8, 8], strict=True))
    assert list(bits(keep=("first", "last", around))) == INNER[:2]
    assert bits(layers={"stages.?": 8}) == bits(layers={"stages": 8}) == dict.fromkeys(INNER, 8)


def test_layers_come_before_modules_around_them() -> None:
    # "*.a" is the end of two layers' paths; no module around a layer is asked then.
    assert bits(layers={"*.a": 8}) == {"stages.0.a": 8, "stages.0.b": 4, "stages.1.a": 8, "stages.1.b": 4}
    with pytest.raises(InputError, match=r"layers must match layers of the network, got 'stages.1.norm'"):
        bits(layers={"stages.1.norm": 8})
    with pytest.raises(InputError, match=r"got 'stage.1', .*did you mean \"stages.1.b\""):
        bits(keep=("stage.1",))


def test_a_layers_own_path_counts_before_any_pattern() -> None:
    assert bits(layers={"head.fc": 8, "*": 2}) == {**dict.fromkeys(INNER, 2), "head.fc": 8}
    assert bits(layers={"one": 8}, keep=("first", "stages.*", "last")) == {"one": 8}
    assert bits(layers={"head": 8, "o*": 8}) == dict.fromkeys(INNER, 4)  # no layer's own path: kept all the same
    assert bits(layers={"stages.*": 2, "stages.0.*": 3}) == dict(zip(INNER, [3, 3, 2, 2], strict=True))
    assert bits(layers={"stages.0.*": 3, "stages.*": 2}) == dict.fromkeys(INNER, 2)
    assert bits(layers={"stages.0.a": None}) == dict.fromkeys(INNER[1:], 4)
    assert bits(bits=None, layers={"head.fc": 8}) == {"head.fc": 8}


def test_a_layer_named_to_be_kept_and_to_be_quantised_is_an_error() -> None:
    with pytest.raises(InputError, match=r"keep must name other layers than layers does, got 'head\.fc' in both"):
        bits(layers={"head.fc": 8}, keep=("head.fc",))


@pytest.mark.parametrize(
    "arguments", [{"keep": "*"}, {"keep": ("first", "last", "stages.*")}, {"bits": None, "layers": {"one*": 4}}]
)
def test_keeping_everything_is_an_error_that_names_the_layers(arguments: dict) -> None:
    layers = "one" if "layers" in arguments else "one, stages.0.a, stages.0.b, stages.1.a, stages.1.b, head.fc"
    with pytest.raises(InputError, match=f"keep must leave a layer to quantise, got .*which holds all of {layers}; "):
        bits(**arguments)


def test_two_layers_are_first_and_last() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"got \['first', 'last'\], which holds all of 0, 1; shorten it"):
        quantise(model, 4)
    assert len(list(quantised_layers(quantise(model, 4, keep=())))) == 2
    assert [path for path, _ in quantised_layers(quantise(model, 4, layers={"1": 2}))] == ["1"]


def test_nothing_on_purpose_is_no_error() -> None:
    for none in (None, {"weights": None, "activations": None}, 32):
        assert bits(bits=none) == {} and bits(bits=none, keep="*") == {}
    assert bits(layers={"*": None}) == {}


def test_a_layer_without_weights_is_named() -> None:
    model = Net()
    model.stages[0]["a"].weight = nn.Parameter(torch.zeros(0, 4))  # type: ignore[index]
    with pytest.raises(InputError, match=r"layer stages.0.a must have weights, got the shape \[0, 4\]; keep it"):
        quantise(model, 4)


def test_a_restored_network_is_as_it_was() -> None:
    model = build("small_cnn", num_classes=3)
    back = restore(quantise(model, 4, keep=()))
    for one, other in zip(model.modules(), back.modules(), strict=True):
        assert type(one) is type(other) and one.__dict__.keys() == other.__dict__.keys()
