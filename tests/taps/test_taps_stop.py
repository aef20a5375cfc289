"""A forward pass that ends where all taps are recorded: the same features, fewer modules run, nothing left behind."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.taps import Taps

IMAGES = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Counted(nn.Module):
    """Counts its forward passes."""

    def __init__(self, inner: nn.Module, name: str, counts: Counter[str]) -> None:
        super().__init__()
        self.inner, self.name, self.counts = inner, name, counts

    def forward(self, images: Tensor) -> Tensor:
        self.counts[self.name] += 1
        result: Tensor = self.inner(images)
        return result


def network() -> tuple[nn.Sequential, Counter[str]]:
    counts: Counter[str] = Counter()
    return nn.Sequential(*(Counted(nn.Linear(3, 3), str(index), counts) for index in range(4))), counts


def test_modules_after_the_last_tap_are_spared_from_the_second_pass_on() -> None:
    net, counts = network()
    taps = Taps(net, ["1", "2:input", "0.inner"])
    expected = taps.run(lambda: net(IMAGES))[1]
    net, counts = network()
    net = copy.deepcopy(net)
    counts = net[0].counts  # type: ignore[assignment]
    taps = Taps(net, ["1", "2:input", "0.inner"])
    first = taps.features(lambda: net(IMAGES))
    assert counts == {"0": 1, "1": 1, "2": 1, "3": 1}
    for _ in range(3):
        again = taps.features(lambda: net(IMAGES))
        assert list(again) == list(first) == list(expected)
        assert all(torch.equal(again[path], first[path]) for path in first)
    assert counts == {"0": 4, "1": 4, "2": 1, "3": 1}
    # A pass outside runs to its end, and so does one that asks for the result.
    assert torch.equal(net(IMAGES), taps.run(lambda: net(IMAGES))[0])
    assert counts["3"] == 3 and not taps.recording.values and not taps.recording.open


def test_order_of_execution_does_not_matter() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third, self.turned = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3), False

        def forward(self, images: Tensor) -> Tensor:
            order = [self.first, self.second] if not self.turned else [self.second, self.first]
            result: Tensor = self.third(order[1](order[0](images)))
            return result

    net = Turned()
    taps = Taps(net, ["first", "second"])
    taps.features(lambda: net(IMAGES))
    net.turned = True
    found, whole = taps.features(lambda: net(IMAGES)), taps.run(lambda: net(IMAGES))[1]
    assert all(torch.equal(found[path], whole[path]) for path in whole)


def test_what_a_whole_pass_would_refuse_is_refused_in_the_first() -> None:
    again = nn.Linear(3, 3)
    net = nn.Sequential(again, again, nn.ReLU(inplace=True))
    with pytest.raises(InputError, match="must run once in a forward pass, got twice"):
        Taps(net, ["0"]).features(lambda: net(IMAGES))
    taps = Taps(net, ["0#2"])
    for _ in range(2):  # refused again and again: no pass was whole
        with pytest.raises(InputError, match="must not be changed in place"):
            taps.features(lambda: net(IMAGES))


def test_all_runs_need_a_whole_pass_and_one_run_does_not() -> None:
    counts: Counter[str] = Counter()
    again = Counted(nn.Linear(3, 3), "again", counts)
    net = nn.Sequential(again, again, again, Counted(nn.Linear(3, 3), "last", counts))
    every, second = Taps(net, ["0#all"]), Taps(net, ["0#2"])
    for taps in (every, second):
        for _ in range(2):
            taps.features(lambda: net(IMAGES))
    assert counts == {"again": 3 + 3 + 3 + 2, "last": 3}
    assert torch.equal(every.features(lambda: net(IMAGES))["0#all"][:, 1], second.features(lambda: net(IMAGES))["0#2"])


def test_modes_autocast_and_gradients_are_as_before() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
                result: Tensor = self.head(self.body(images))
            return result

    net = Careful().eval()
    taps = Taps(net, ["body"])
    taps.features(lambda: net(IMAGES))
    found = taps.features(lambda: net(IMAGES))["body"]
    assert found.dtype == torch.bfloat16
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    assert not any(module.training for module in net.modules())
    assert torch.equal(net(IMAGES), taps.run(lambda: net(IMAGES))[0])


def test_a_network_that_catches_everything_runs_on_with_the_same_features() -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3)

        def forward(self, images: Tensor) -> Tensor:
            try:
                result: Tensor = self.body(images)
            except BaseException:
                result = self.body(images * 0)
            return result

    net = Stubborn()
    taps = Taps(net, ["body"])
    first = taps.features(lambda: net(IMAGES))["body"]
    assert torch.equal(taps.features(lambda: net(IMAGES))["body"], first)


def test_a_real_fault_comes_through_and_leaves_the_store_closed() -> None:
    net, _ = network()
    taps = Taps(net, ["1"])
    taps.features(lambda: net(IMAGES))
    with pytest.raises(RuntimeError):
        taps.features(lambda: net(torch.ones(4, 2)))
    assert not taps.recording.open and not taps.recording.values
    taps.features(lambda: net(IMAGES))


def test_networks_over_several_devices_run_to_their_end() -> None:
    net, counts = network()
    wide = nn.DataParallel(net)
    taps = Taps(wide, ["module.0"])
    assert not taps.stops
    for _ in range(2):
        taps.features(lambda: wide(IMAGES))
    assert counts["3"] == 2


@pytest.mark.slow
def test_a_compiled_network_runs_to_its_end_with_the_same_features() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).requires_grad_(False)
    taps = Taps(net, ["1"])
    first = taps.features(lambda: net(IMAGES))["1"]
    net.compile(backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(taps.features(lambda: net(IMAGES))["1"], first)
