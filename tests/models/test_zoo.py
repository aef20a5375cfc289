"""Networks of other libraries by name: input, building and weights, on modules of the same interface."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from library_toys import torchvision_stand_in
from torch import nn

from rolewise.config.network_sections import ModelSection
from rolewise.errors import InputError
from rolewise.experiment.declared_models import declared
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build
from rolewise.models.zoo import in_zoo, zoo_card
from rolewise.models.zoo_weights import pretrained_file


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("timm")
    card = SimpleNamespace(
        input_size=(3, 24, 20),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.2, 0.2),
        interpolation="bicubic",
        num_classes=1000,
        hf_hub_id=None,
        hf_hub_filename=None,
        url="https://example.org/tiny-0123abcd.pth",
    )
    made: dict[str, Any] = {
        "list_models": lambda: ["tiny", "small"],
        "list_pretrained": lambda pattern: ["tiny.a"],
        "get_pretrained_cfg": lambda name: card if name in ("tiny", "tiny.a") else None,
        "create_model": lambda name, pretrained, num_classes, in_chans, width=4: nn.Sequential(
            nn.Conv2d(in_chans, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        ),
    }
    vars(module).update(made)
    monkeypatch.setitem(sys.modules, "timm", module)
    zoo_card.cache_clear()
    return module


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = torchvision_stand_in(side=16, mean=0.5, classes=7)
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setitem(sys.modules, "torchvision.models", module.models)
    zoo_card.cache_clear()
    return module


def test_a_network_s_own_input_is_read_and_a_config_s_counts(timm: ModuleType) -> None:
    found = declared(ModelSection(name="timm:tiny.a"))
    assert found.mean == (0.5, 0.4, 0.3) and found.size == (24, 20) and found.interpolation == "bicubic"
    own = declared(ModelSection(name="timm:tiny", size=(8, 8), mean=(0.1,), std=(0.2,)))
    assert own.size == (8, 8) and own.mean == (0.1,) and own.std == (0.2,) and own.interpolation == "bicubic"
    assert declared(ModelSection(name="resnet8")) == ModelSection(name="resnet8")


def test_a_network_is_built_for_the_data_s_classes_from_its_seed(timm: ModuleType) -> None:
    first, again = (build("timm:tiny", num_classes=5, channels=1, seed=3, width=6) for _ in range(2))
    assert first(torch.zeros(2, 1, 24, 20)).shape == (2, 5) and first[0].out_channels == 6
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))
    with pytest.raises(InputError, match="unexpected keyword argument 'depth'"):
        build("timm:tiny", num_classes=5, depth=3)


def test_unknown_names_are_told_with_near_ones(timm: ModuleType, torchvision: ModuleType) -> None:
    for name, part in (
        ("timm:tinny", 'did you mean "tiny"'),
        ("timm:tiny.b", "names no weights of timm"),
        ("torchvision:nett", 'did you mean "net"'),
        ("torchvision:net.V2", "known: V1"),
    ):
        with pytest.raises(InputError, match=part):
            zoo_card(name)
    card = zoo_card("torchvision:net")
    assert card.classes == 7 and card.size == (16, 16) and card.file == "net-89abcdef.pth"
    with pytest.raises(InputError, match="3 channels, got 1"):
        build("torchvision:net", num_classes=5, channels=1)


def test_pretrained_weights_are_in_the_cache_or_the_file_is_named(
    timm: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*arguments: Any, **settings: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    monkeypatch.setattr("rolewise.models.zoo_weights.is_reachable", lambda address: True)
    monkeypatch.setattr("rolewise.reach.is_reachable", lambda address: True)
    path = tmp_path / "checkpoints/tiny-0123abcd.pth"
    with pytest.raises(InputError) as caught:
        pretrained_file("timm:tiny")
    text = str(caught.value)
    assert str(path) in text and "https://example.org/tiny-0123abcd.pth" in text and "Network is unreachable" in text
    path.write_bytes(b"weights")
    assert pretrained_file("timm:tiny") == path
    with pytest.raises(InputError, match="name a file"):
        pretrained_file("resnet8")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    zoo_card.cache_clear()
    for name, package, extra in (("timm:a", "timm", "timm"), ("hf:a/b", "transformers", "hf")):
        monkeypatch.setitem(sys.modules, package, None)
        assert in_zoo(name)
        with pytest.raises(InputError, match=rf'needs the package {package}.*pip install "rolewise\[{extra}\]"'):
            zoo_card(name)
    assert not in_zoo("mine:net") and not in_zoo("timm:") and not in_zoo("resnet8")


def test_bicubic_resizing_stays_within_the_range_of_pixels() -> None:
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    images[..., 2:] = 255
    spec = InputSpec((0.0,), (1.0,), (9, 9), "bicubic")
    found = prepare(images, spec)
    assert found.min() == 0 and found.max() == 1
    assert not torch.equal(found, prepare(images, InputSpec((0.0,), (1.0,), (9, 9))))
    with pytest.raises(InputError, match='interpolation must be "bilinear" or "bicubic"'):
        InputSpec((0.0,), (1.0,), None, "nearest")


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
        __import__(package)
    except Exception:
        return False
    return True


@pytest.mark.skipif(not installed("timm"), reason="timm is not installed, or does not load beside this torch")
def test_timm_itself_has_the_interface() -> None:
    zoo_card.cache_clear()
    card = zoo_card("timm:resnet18")
    assert card.classes == 1000 and card.size is not None and card.file
    assert build("timm:resnet18", num_classes=7, channels=1)(torch.zeros(2, 1, 64, 64)).shape == (2, 7)


@pytest.mark.skipif(not installed("torchvision"), reason="torchvision is not installed, or not for this torch")
def test_torchvision_itself_has_the_interface() -> None:
    zoo_card.cache_clear()
    card = zoo_card("torchvision:resnet18")
    assert card.classes == 1000 and card.size == (224, 224)
    assert build("torchvision:resnet18", num_classes=7)(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
