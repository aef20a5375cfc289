"""The context for a look at features: what it gives, and that it leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

import rolewise as rw
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.taps import Taps

IMAGES = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A body with an activation in place, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 5, 1), nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.act(self.conv(images)).mean((2, 3)))
        return logits


def hooks(network: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._forward_pre_hooks_with_kwargs)
        for module in network.modules()
    )


def test_each_pass_fills_the_mapping_and_the_last_one_stays() -> None:
    network = Network()
    with rw.tap(network, ["act", "head:input", ":input", "logits"]) as features:
        assert not features
        network(IMAGES * 0)
        logits = network(IMAGES)
    assert list(features) == ["act", "head:input", ":input", "logits"]
    act = network.conv(IMAGES).relu()
    torch.testing.assert_close(features["act"], act)
    torch.testing.assert_close(features["head:input"], act.mean((2, 3)))
    assert features[":input"] is IMAGES and features["logits"] is logits
    assert not hooks(network)
    features["act"].sum().backward()
    assert network.conv.weight.grad is not None
    network(IMAGES * 0)
    torch.testing.assert_close(features["act"], act)


def test_one_path_detached_or_copied() -> None:
    network = Network()
    with rw.tap(network, "penultimate", detach=True) as features:
        network(IMAGES)
    assert not features["penultimate"].requires_grad
    with rw.tap(network, "conv") as features, pytest.raises(InputError, match="'conv' must not be changed in place"):
        network(IMAGES)
    with rw.tap(network, "conv", copy=True) as features:
        network(IMAGES)
    torch.testing.assert_close(features["conv"], network.conv(IMAGES))
    assert features["conv"].requires_grad and not hooks(network)


def test_a_pass_that_fails_changes_nothing_and_no_hook_is_left() -> None:
    network = Network()
    with pytest.raises(ZeroDivisionError), rw.tap(network, ["act"]) as features:
        network(IMAGES)
        kept = features["act"]
        with pytest.raises(RuntimeError):
            network(IMAGES[:, :2])
        assert features["act"] is kept
        network(IMAGES[:1])
        assert len(features["act"]) == 1
        raise ZeroDivisionError
    assert not hooks(network)


def test_contexts_nest_and_meet_a_distiller() -> None:
    teacher, student = Network(), Network()
    distiller = rw.Distiller(teacher, student, [rw.rkd()])
    before = hooks(student)
    terms = distiller(IMAGES, torch.tensor([0, 1]))
    with rw.tap(student, "act") as outer, rw.tap(student, ["act", "logits"]) as inner:
        tapped = distiller(IMAGES, torch.tensor([0, 1]))
    assert torch.equal(outer["act"], inner["act"]) and torch.equal(tapped.total, terms.total)
    assert torch.equal(inner["logits"], terms.student_logits) and hooks(student) == before


def test_a_pass_may_end_with_the_features_and_the_block_with_it() -> None:
    network, ran = Network(), []
    network.head.register_forward_hook(lambda *_: ran.append("head"))
    with rw.tap(network, ["conv", "act"], stop=True, copy=True) as features:
        network(IMAGES)
        ran.append("behind")
    assert not ran and not hooks(network) - 1
    conv = network.conv(IMAGES)
    torch.testing.assert_close(dict(features), {"conv": conv, "act": conv.relu()})
    changed = pytest.raises(InputError, match="'conv' must not be changed in place")
    with changed, rw.tap(network, ["conv", "act"], stop=True):
        network(IMAGES)
    with pytest.raises(InputError, match="stop must be false with a path of all runs"):
        rw.tap(network, "act#all", stop=True).__enter__()
    with pytest.raises(ZeroDivisionError), rw.tap(network, ["act"], stop=True):
        raise ZeroDivisionError


def test_the_inner_one_of_two_lets_the_outer_one_end_the_pass() -> None:
    network = Network()
    with rw.tap(network, "act", stop=True) as outer:
        with rw.tap(network, "head") as inner:
            network(IMAGES)
        raise AssertionError("not reached")
    assert list(outer) == ["act"] and not inner and not hooks(network)
    with rw.tap(network, "act") as outer, rw.tap(network, "act", stop=True) as inner:
        network(IMAGES)
    assert list(inner) == ["act"] and not outer and not hooks(network)


@pytest.mark.parametrize("number", [0, 1])
def test_hooks_of_an_unpickled_network_stay(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Torch numbers hooks anew in each process, and a number that is taken would be taken away."""
    network = Network()
    taps = Taps(network, ["act", ":input"] if number else [":input", "act"])
    monkeypatch.setattr(RemovableHandle, "next_id", next(iter(network.act._forward_hooks)) - number)
    with rw.tap(network, ["act", ":input"]) as features:
        found = taps.run(lambda: network(IMAGES))[1]
    assert torch.equal(found["act"], features["act"]) and hooks(network) == 2
    assert torch.equal(taps.run(lambda: network(IMAGES))[1]["act"], found["act"])


def test_what_is_no_place_is_refused_before_any_hook() -> None:
    network = Network()
    with pytest.raises(InputError, match=r"the network has no tap 'hed'; did you mean \"head\""):
        rw.tap(network, ["act", "hed"]).__enter__()
    with pytest.raises(InputError, match=r"network must be a torch.nn.Module, got function"):
        rw.tap(hooks, ["act"]).__enter__()  # type: ignore[arg-type]
    with (
        rw.tap(network, ["head#2"]),
        pytest.raises(InputError, match="'head#2' must run in every forward pass, got 1 run; the last is 'head#1'"),
    ):
        network(IMAGES)
    assert not hooks(network)


@pytest.mark.slow
@pytest.mark.parametrize(
    "compile_it", [lambda net: net.compile(backend="eager") or net, lambda net: torch.compile(net, backend="eager")]
)
def test_a_compiled_network_shows_the_same(compile_it: Callable[[nn.Module], nn.Module]) -> None:
    network = Network().requires_grad_(False)  # torch warns of its own reading of .grad where a graph breaks
    with rw.tap(network, ["act", "penultimate", ":output"]) as expected:
        network(IMAGES)
    compiled = compile_it(network)
    for _ in range(2):
        with rw.tap(compiled, ["act", "penultimate", ":output"]) as features:
            compiled(IMAGES)
        assert list(features) == list(expected)
        torch.testing.assert_close(dict(features), dict(expected))
    assert not hooks(network)


def test_the_example_of_the_docs_runs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "rw.tap(" in block]
    names = {"rw": rw, "network": build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=0)}
    exec(example, names | {"images": torch.zeros(2, 1, 8, 8)}, found := {})
    assert found["features"]["stage2"].shape == (2, 32, 4, 4)
