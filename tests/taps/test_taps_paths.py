"""Paths of places: runs, inputs, parts, tokens; what is refused and with which remedy."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.taps import Taps, names_of, parse_tap, resolve

Pair = namedtuple("Pair", ["hidden", "state"])


class Layer(nn.Module):
    """Gives a tuple of its hidden tokens and a mapping; takes a keyword."""

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        scaled = tokens * 2 if mask is None else tokens * mask
        return scaled, {"norm": scaled.norm(dim=2)}


class Network(nn.Module):
    """A cell that runs three times, a layer with a keyword, a recurrent module, a named tuple, a mapping at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4, bias=False)
        self.layer = Layer()
        self.gru = nn.GRU(4, 3, batch_first=True)
        self.pair = nn.Identity()
        self.head = nn.Linear(3, 2)
        self.taps = {"penultimate": "head:input", "cells": "cell"}

    def forward(self, vectors: Tensor, *, scale: float = 1.0) -> dict[str, object]:
        steps = []
        for _ in range(3):
            vectors = self.cell(vectors) * scale
            steps.append(vectors)
        tokens = torch.stack(steps, 1)
        hidden, _ = self.layer(tokens, mask=torch.ones_like(tokens))
        outputs, _ = self.gru(hidden)
        self.pair(Pair(outputs, {"last": outputs[:, -1]}))
        return {"logits": self.head(outputs[:, -1]), "hidden": (hidden, outputs)}


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network()
    stream = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.5, generator=stream)
    return network


VECTORS = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def cells(network: Network) -> list[Tensor]:
    steps, vectors = [], VECTORS
    for _ in range(3):
        vectors = vectors @ network.cell.weight.T
        steps.append(vectors)
    return steps


def gru(network: Network) -> Tensor:
    outputs: Tensor = network.gru(torch.stack(cells(network), 1))[0]
    return outputs


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (":input", lambda net: VECTORS),
        (":output.hidden.0", lambda net: torch.stack(cells(net), 1)),
        (":output.hidden.1", gru),
        ("cell#1", lambda net: cells(net)[0]),
        ("cell#3:output", lambda net: cells(net)[2]),
        ("cell#2:input", lambda net: cells(net)[0]),
        ("cell#all", lambda net: torch.stack(cells(net), 1)),
        ("layer:input.mask", lambda net: torch.ones(5, 3, 4)),
        ("layer:output.0", lambda net: torch.stack(cells(net), 1)),
        ("layer#1:output.1.norm", lambda net: torch.stack(cells(net), 1).norm(dim=2)),
        ("layer:output.0:token.2", lambda net: cells(net)[2]),
        ("gru:output.0", gru),
        ("gru:output.1", lambda net: gru(net)[:, -1].unsqueeze(0)),
        ("pair:output.hidden", gru),
        ("pair:output.0", gru),
        ("pair:output.state.last", lambda net: gru(net)[:, -1]),
        ("pair:input.0.state.last", lambda net: gru(net)[:, -1]),
        ("head:input", lambda net: gru(net)[:, -1]),
    ],
)
def test_a_path_names_a_place(network: Network, path: str, expected: Callable[[Network], Tensor]) -> None:
    logits, features = Taps(network, [resolve(network, path, "network")]).run(lambda: network(VECTORS)["logits"])
    assert list(features) == [path]
    torch.testing.assert_close(features[path], expected(network))
    torch.testing.assert_close(logits, network(VECTORS)["logits"])


def test_names_take_a_suffix_and_paths_stay(network: Network) -> None:
    assert resolve(network, "penultimate", "student") == "head:input"
    assert resolve(network, "cells#2", "student") == "cell#2"
    assert resolve(network, "cells#2:input", "student") == "cell#2:input"
    assert resolve(network, "cell#all", "student") == "cell#all"
    assert names_of(network) == network.taps


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cel", r"the student has no tap 'cel'; did you mean \"cell\""),
        ("cel#2:output.0", r"the student has no tap 'cel#2:output.0'; did you mean \"cell\""),
        ("penultimate:output", "the student has no tap 'penultimate:output'"),
        ("cell:weight", "the student has no tap 'cell:weight'; a tap must be a path such as"),
        ("cell#0", "no tap 'cell#0'; a tap must be"),
        ("cell#", "no tap 'cell#'; a tap must be"),
        ("cell:output.", "no tap 'cell:output.'; a tap must be"),
        ("", "no tap ''; a tap must be"),
    ],
)
def test_a_path_to_nowhere_is_refused_at_once(network: Network, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(network, name, "student")
    with pytest.raises(InputError, match="a tap must be a path such as"):
        parse_tap("a:b")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cell", "tap 'cell' must run once in a forward pass, got twice; .* one run with 'cell#1', or all with"),
        ("cell:input", "or all with 'cell#all:input'"),
        ("cell#4", "tap 'cell#4' must run in every forward pass, got 3 runs; the last is 'cell#3'"),
        ("layer", r"tap 'layer' must give a tensor, got tuple; name a part, as in 'layer:output.0' \(parts: 0\)"),
        ("layer:output.1", r"must give a tensor, got dict; name a part, as in 'layer:output.1.norm' \(parts: norm\)"),
        ("layer:output.1.nrm", r"must name a part that is there, got 'nrm'; did you mean \"norm\""),
        ("layer:output.2", "must name a part that is there, got '2'; known: 0, 1"),
        ("layer:input.1", "must name a part that is there, got '1'; .*0, mask|known: 0, mask"),
        ("layer:output.0:token.3", r"must be one of tokens \[B, T, D\], got \[5, 3, 4\]"),
        ("cell#2:token.0", r"must be one of tokens \[B, T, D\], got \[5, 4\]"),
        ("pair:input", r"got Pair; name a part, as in 'pair:input.0.0' \(parts: 0, hidden\)"),
        ("pair", "name a part, as in 'pair:output.0'"),
        (":output", "tap ':output' must give a tensor, got dict; name a part, as in ':output.logits'"),
    ],
)
def test_what_is_no_tensor_is_refused_with_its_parts(network: Network, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Taps(network, [path]).run(lambda: network(VECTORS))


def test_an_input_by_keyword_alone_is_named() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Layer()

        def forward(self, images: Tensor) -> Tensor:
            result: Tensor = self.layer(tokens=images)[0]
            return result

    network = Named()
    with pytest.raises(
        InputError, match=r"tap 'layer:input' must have a positional input, got none; .*'layer:input.<keyword>'"
    ):
        Taps(network, ["layer:input"]).run(lambda: network(torch.ones(1, 2, 3)))
    found = Taps(network, ["layer:input.tokens"]).run(lambda: network(torch.ones(1, 2, 3)))[1]
    assert torch.equal(found["layer:input.tokens"], torch.ones(1, 2, 3))


@pytest.mark.parametrize(
    ("shape", "joined"), [((2, 3), (2, 2, 3)), ((2, 4, 3), (2, 8, 3)), ((2, 3, 5, 5), (2, 6, 5, 5))]
)
def test_all_runs_are_joined_so_that_a_map_stays_a_map(shape: tuple[int, ...], joined: tuple[int, ...]) -> None:
    again = nn.Identity()
    network = nn.Sequential(again, nn.Tanh(), again)
    images = torch.arange(float(torch.tensor(shape).prod())).view(shape)
    found = Taps(network, ["0#all"]).run(lambda: network(images))[1]["0#all"]
    assert found.shape == joined
    first, second = found.view(2, 2, -1).unbind(1)
    assert torch.equal(first, images.flatten(1)) and torch.equal(second, images.tanh().flatten(1))


def test_runs_of_different_shapes_are_not_joined() -> None:
    again = nn.Identity()
    network = nn.Sequential(again, nn.AvgPool2d(2), again)
    with pytest.raises(
        InputError, match=r"'0#all' must have one shape in all runs, got \[1, 1, 4, 4\], .*tap one with #1"
    ):
        Taps(network, ["0#all"]).run(lambda: network(torch.ones(1, 1, 4, 4)))


@pytest.mark.parametrize("path", ["0", "1:input", "0:output", "1#1"])
def test_a_change_in_place_is_seen(path: str) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True), nn.ReLU(inplace=True))
    taps = Taps(network, [path])
    with pytest.raises(InputError, match=f"tap '{path}' must not be changed in place by a later module"):
        taps.run(lambda: network(torch.ones(1, 2)))
    assert not taps.recording.open and not taps.recording.values


def test_no_paths_cost_one_call() -> None:
    network = nn.Linear(2, 2)
    assert not Taps(network, []).places and not network._forward_hooks
    assert Taps(network, []).run(lambda: 3) == (3, {})


def test_inference_mode_is_no_obstacle(network: Network) -> None:
    with torch.inference_mode():
        features = Taps(network, ["cell#2"]).run(lambda: network(VECTORS))[1]
    torch.testing.assert_close(features["cell#2"], cells(network)[1])
