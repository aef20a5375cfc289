"""Published checkpoints of the distillation tables' networks: their names, and one that is loaded whole."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models import MODELS, build
from rolewise.models.published_names import published_names
from rolewise.models.weight_transfer import take_weights


def norm(name: str) -> Iterator[str]:
    yield from (f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"))


def residual(depths: list[int], convolutions: int, shortcut: str, head: str, *, first: bool = False) -> Iterator[str]:
    """Names of RepDistiller's ResNets: ``first`` where the first stage changes the width."""
    yield "conv1.weight"
    yield from norm("bn1")
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            for number in range(1, convolutions + 1):
                yield f"layer{stage}.{block}.conv{number}.weight"
                yield from norm(f"layer{stage}.{block}.bn{number}")
            if block == 0 and (stage > 1 or first):
                yield f"layer{stage}.0.{shortcut}.0.weight"
                yield from norm(f"layer{stage}.0.{shortcut}.1")
    yield from (f"{head}.weight", f"{head}.bias")


def wide(blocks: int) -> Iterator[str]:
    yield "conv1.weight"
    for stage in (1, 2, 3):
        for block in range(blocks):
            for number in (1, 2):
                yield f"block{stage}.layer.{block}.conv{number}.weight"
                yield from norm(f"block{stage}.layer.{block}.bn{number}")
            if block == 0:
                yield f"block{stage}.layer.0.convShortcut.weight"
    yield from norm("bn1")
    yield from ("fc.weight", "fc.bias")


def vgg(depths: list[int]) -> Iterator[str]:
    for block, depth in enumerate(depths):
        for layer in range(depth):
            yield from (f"block{block}.{3 * layer}.weight", f"block{block}.{3 * layer}.bias")
            yield from norm(f"block{block}.{3 * layer + 1}")
    yield from ("classifier.weight", "classifier.bias")


def mobile() -> Iterator[str]:
    for name in ("conv1", "conv2"):
        yield f"{name}.0.weight"
        yield from norm(f"{name}.1")
    for part, depth in enumerate((1, 2, 3, 4, 3, 3, 1)):
        for block in range(depth):
            for at in (0, 3, 6):
                yield f"blocks.{part}.{block}.conv.{at}.weight"
                yield from norm(f"blocks.{part}.{block}.conv.{at + 1}")
    yield from ("classifier.0.weight", "classifier.0.bias")


def shuffle(depths: list[int], first: int, rest: int, *, last: bool) -> Iterator[str]:
    for name in ("1", "2") if last else ("1",):
        yield f"conv{name}.weight"
        yield from norm(f"bn{name}")
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            for number in range(1, (rest if block else first) + 1):
                yield f"layer{stage}.{block}.conv{number}.weight"
                yield from norm(f"layer{stage}.{block}.bn{number}")
    yield from ("linear.weight", "linear.bias")


def dense(layers: int) -> Iterator[str]:
    yield "features.conv0.weight"
    for block in (1, 2, 3):
        for layer in range(1, layers + 1):
            for number in (1, 2):
                yield from norm(f"features.denseblock{block}.denselayer{layer}.norm{number}")
                yield f"features.denseblock{block}.denselayer{layer}.conv{number}.weight"
        if block < 3:
            yield from norm(f"features.transition{block}.norm")
            yield f"features.transition{block}.conv.weight"
    yield from norm("features.norm5")
    yield from ("classifier.weight", "classifier.bias")


DOWN = "stages.1.0.shortcut.1.bias"
CASES = [
    ("resnet20", list(residual([3, 3, 3], 2, "downsample", "fc")), "layer2.0.downsample.1.bias", DOWN),
    ("resnet8x4", list(residual([1, 1, 1], 2, "downsample", "fc", first=True)), "bn1.weight", "stem.1.weight"),
    ("resnet50", list(residual([3, 4, 6, 3], 3, "shortcut", "linear", first=True)), "linear.bias", "fc.bias"),
    ("wrn_16_2", list(wide(2)), "block3.layer.0.convShortcut.weight", "stages.2.0.shortcut.weight"),
    ("wrn_40_2", list(wide(6)), "bn1.running_var", "pool.0.running_var"),
    ("vgg8", list(vgg([1, 1, 1, 1, 1])), "block1.0.weight", "stages.0.1.weight"),
    ("vgg13", list(vgg([2, 2, 2, 2, 2])), "block0.3.bias", "stem.3.bias"),
    ("mobilenet_v2", list(mobile()), "blocks.4.2.conv.6.weight", "stages.2.1.2.conv.6.weight"),
    ("shufflenet_v1", list(shuffle([4, 8, 4], 3, 3, last=False)), "layer3.1.bn2.weight", "stages.2.1.bn2.weight"),
    ("shufflenet_v2", list(shuffle([4, 8, 4], 5, 3, last=True)), "conv2.weight", "last.0.weight"),
    ("densenet_bc", list(dense(16)), "features.denseblock2.denselayer1.conv2.weight", "stages.1.1.conv2.weight"),
]  # fmt: skip


@functools.cache
def wanted(name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return build(name, num_classes=100).state_dict()


@pytest.mark.parametrize(("network", "names", "old", "new"), CASES, ids=[case[0] for case in CASES])
def test_every_weight_of_a_published_checkpoint_has_its_place(
    network: str, names: list[str], old: str, new: str
) -> None:
    found = published_names(names, wanted(network))
    assert sorted(found.values()) == sorted(wanted(network)) and found[old] == new
    parallel = published_names([f"module.{name}" for name in names], wanted(network))
    assert parallel[f"module.{old}"] == new
    counted = [name for name in names if "num_batches" not in name]
    assert set(published_names(counted, wanted(network))) == set(counted)
    assert (
        published_names(names[1:], wanted(network)) == {} and published_names([*names, "more"], wanted(network)) == {}
    )


def test_names_of_our_own_are_left_alone() -> None:
    for network in ("resnet8", "vgg8", "wrn_16_1"):
        assert published_names(list(wanted(network)), wanted(network)) == {}


class TheirVGG8(nn.Module):
    """VGG-8 as RepDistiller builds it: blocks whose last ReLU is left out, and pooling between them."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for at, width in enumerate((64, 128, 256, 512, 512)):
            block = nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width))
            setattr(self, f"block{at}", block)
            before = width
        self.classifier = nn.Linear(512, 100)

    def forward(self, x: Tensor) -> Tensor:
        for at in range(5):
            x = getattr(self, f"block{at}")(x).relu()
            x = nn.functional.max_pool2d(x, 2) if at < 3 else x
        return self.classifier(x.mean((2, 3)))


def test_a_published_checkpoint_is_loaded_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = TheirVGG8().eval()
    torch.save({"epoch": 240, "model": theirs.state_dict(), "best_acc": 70.1}, tmp_path / "vgg8.pth")
    network = build("vgg8", num_classes=100).eval()
    report = take_weights(network, tmp_path / "vgg8.pth")
    assert len(report.renamed) == len(theirs.state_dict()) and not report.missing and not report.left_out
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(network(images), theirs(images))
    with pytest.raises(InputError, match="another network"):
        take_weights(build("resnet8", num_classes=100), tmp_path / "vgg8.pth")


def test_depths_and_widths_that_are_none_are_refused() -> None:
    for name, arguments in (
        ("wrn", {"depth": 17}),
        ("wrn", {"widen": 0}),
        ("densenet_bc", {"depth": 99}),
        ("densenet_bc", {"growth": 0}),
        ("shufflenet_v2", {"width": 0.7}),
        ("mobilenet_v2", {"width": 0.0}),
    ):
        with pytest.raises(InputError, match=f'"{name}": .* must be'):
            build(name, num_classes=10, **arguments)
    assert {f"vgg{layers}" for layers in (8, 11, 13, 16, 19)} < set(MODELS)
