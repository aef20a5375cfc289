"""Building networks: seeds, import paths, errors, weights taken from a teacher."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models import build, init_from, taps_of


class Elsewhere(nn.Module):
    """A network that no registry knows."""

    def __init__(self, num_classes: int, channels: int, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images).mean((2, 3)))
        return logits


def anything(**arguments: object) -> nn.Module:
    return Elsewhere(channels=1, **arguments)  # type: ignore[arg-type]


def no_network(num_classes: int) -> int:
    return num_classes


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("name", ["small_cnn", "cnn28", "resnet8", "wrn_16_1", f"{__name__}:Elsewhere"])
def test_weights_are_a_function_of_the_seed_alone(name: str) -> None:
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = build(name, num_classes=3, channels=1, size=(32, 32), seed=5)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(12)
    torch.rand(3)
    assert same(first, build(name, num_classes=3, channels=1, size=(32, 32), seed=5))
    assert not same(first, build(name, num_classes=3, channels=1, size=(32, 32), seed=6))


def test_a_generator_gives_one_seed_at_a_time() -> None:
    def pair(seed: int) -> list[nn.Module]:
        generator = torch.Generator().manual_seed(seed)
        return [build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=generator) for _ in range(2)]

    (first, second), again = pair(1), pair(1)
    assert same(first, again[0]) and same(second, again[1]) and not same(first, second)


def test_the_random_state_is_restored_when_building_fails() -> None:
    state = torch.get_rng_state()
    with pytest.raises(InputError, match='model "small_cnn": widths must hold at least one number, all positive'):
        build("small_cnn", num_classes=3, widths=[])
    assert torch.equal(state, torch.get_rng_state())


def test_a_network_comes_by_import_path_or_as_a_callable() -> None:
    for name in (f"{__name__}:Elsewhere", Elsewhere):
        model = build(name, num_classes=6, channels=2, size=(9, 9), width=5)
        assert isinstance(model, Elsewhere)
        assert model.conv.weight.shape[:2] == (5, 2) and model.head.out_features == 6
    assert build(anything, num_classes=6, width=3)(torch.zeros(1, 1, 5, 5)).shape == (1, 6)
    assert taps_of(model) == {"penultimate": "head:input", "logits": "head"}
    assert taps_of(nn.Conv2d(1, 1, 1)) == {}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet21", {}, "no model is called 'resnet21'; did you mean .*resnet20"),
        ("small_cnn", {"width": [3]}, r"no such setting of model \"small_cnn\": 'width'; did you mean \"widths\""),
        ("small_cnn", {"places": "kept"}, 'places must be "average" or "keep", got \'kept\''),
        ("small_cnn", {"widths": 3}, 'model "small_cnn"'),
        ("small_cnn", {"size": (1, 8)}, r"size must be at least 2 for 2 convolutions, got \[1, 8\]"),
        ("small_cnn", {"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ("small_cnn", {"channels": 0}, "channels must be at least 1, got 0"),
        ("resnet8", {"shortcut": "none"}, 'shortcut must be "convolution" or "padding", got \'none\''),
        ("no.such.module:Network", {}, "there is no module .no.; put no.py beside the config"),
        (f"{__name__}:Elsewere", {}, "cannot be imported"),
        (":Elsewhere", {}, "must read package.module:callable"),
        (f"{__name__}:__name__", {}, "must be callable, got str"),
        (f"{__name__}:no_network", {}, "must give a torch.nn.Module, got int"),
        (f"{__name__}:Elsewhere", {"depth": 3}, "no such setting of model"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(name, **{"num_classes": 3, **arguments})  # type: ignore[arg-type]


def test_a_student_takes_the_weights_that_fit() -> None:
    teacher = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=(4, 6), seed=1)
    student = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=(4, 8), seed=2)
    untouched = student.fc.weight.clone()  # type: ignore[union-attr, operator]
    teacher.stages[0][1].running_mean.fill_(3.0)  # type: ignore[index, union-attr, operator]
    copied = init_from(student, teacher)
    assert "stages.0.0.weight" in copied and "stages.0.1.running_mean" in copied and "fc.bias" in copied
    assert "stages.1.0.weight" not in copied and "fc.weight" not in copied
    own, other = student.state_dict(), teacher.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in copied)
    assert torch.equal(student.fc.weight, untouched)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        teacher.fc.bias.add_(1)  # type: ignore[union-attr, operator]
    assert not torch.equal(student.fc.bias, teacher.fc.bias)  # type: ignore[union-attr, arg-type]
    with pytest.raises(InputError, match='init "teacher" must find weights of equal name and shape'):
        init_from(student, nn.Linear(2, 2))


def test_a_student_of_which_only_biases_and_counters_fit_is_refused_and_stays_as_it_is() -> None:
    teacher = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=(4, 6), seed=1)
    student = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=(3, 5), seed=2)
    bias = student.fc.bias.clone()  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match=r"got none but \S+num_batches_tracked.*; use the teacher's architecture"):
        init_from(student, teacher)
    assert torch.equal(student.fc.bias, bias)  # type: ignore[union-attr, arg-type]
