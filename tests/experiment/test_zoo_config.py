"""Networks of other libraries through a whole config: teacher and students, weights, predictions; on modules of the
same interface, since the libraries need not be installed."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from library_toys import torchvision_stand_in
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from rolewise.deploy import predict_pictures
from rolewise.deploy.predictor import predictor_of_run
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder
from rolewise.models.zoo import zoo_card

QUICK = Path(__file__).parent / "quick.yaml"
SETTINGS = [
    "seeds=[0]",
    "arms={teacher: [none], student: [none], control: none, distill: [true]}",
    "teacher={model: 'timm:tiny', weights: pretrained, label_map: {to: [11, 3, 7, 0, 1, 2, 4, 5, 6, 8]}}",
    "students[0].model='torchvision:net'",
    "students[0].train.epochs=1",
]


class Answer(dict[str, Any]):
    """An output as transformers have it: an object, and a mapping too."""

    @property
    def logits(self) -> Any:
        return self["logits"]


class Hugging(nn.Module):
    """A classifier that returns an object with logits."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, config.num_labels)

    def forward(self, pixel_values: torch.Tensor) -> Answer:
        return Answer(logits=self.classifier(pixel_values.mean((2, 3))))


def tiny(name: str, pretrained: bool, num_classes: int, in_chans: int) -> nn.Module:
    assert not pretrained
    body = [nn.Conv2d(in_chans, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(4, num_classes))


def timm() -> ModuleType:
    card: dict[str, Any] = {
        "input_size": (3, 12, 14),
        "mean": (0.5,) * 3,
        "std": (0.2,) * 3,
        "interpolation": "bicubic",
    }
    card |= {"num_classes": 12, "hf_hub_id": None, "hf_hub_filename": None, "url": "https://example.org/tiny.pth"}
    module = ModuleType("timm")
    module.list_models = lambda: ["tiny"]
    module.get_pretrained_cfg = lambda name: SimpleNamespace(**card)
    module.create_model = tiny
    return module


def transformers() -> ModuleType:
    module = ModuleType("transformers")
    read = {"from_pretrained": lambda rest: SimpleNamespace(num_labels=2, num_channels=3, image_size=9)}
    module.AutoConfig = SimpleNamespace(**read)
    module.AutoModelForImageClassification = SimpleNamespace(from_config=Hugging)
    module.utils = SimpleNamespace(cached_file=lambda rest, name: str(Path(rest) / name))
    return module


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The three libraries, and the weights of the teacher in torch's cache; returns the folder of a network of hf."""
    modules = {
        "timm": timm(),
        "torchvision": torchvision_stand_in(side=10, mean=0.4, classes=12),
        "transformers": transformers(),
    }
    modules["torchvision.models"] = modules["torchvision"].models
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name in modules else version(name))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "tiny.pth"
    cached.parent.mkdir()
    torch.save(tiny("tiny", False, 12, 3).state_dict(), cached)
    folder = tmp_path / "hugging"
    folder.mkdir()
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.3] * 3, "image_std": [0.2] * 3}))
    zoo_card.cache_clear()
    return folder


def test_libraries_teach_and_learn_in_a_config(libraries: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    config = load(QUICK, SETTINGS, on_note=notes.append)
    assert any("teacher.weights" in note and "loaded" in note for note in notes)
    root = tmp_path / "run"
    run(config, root, only=lambda stage: stage.kind != "test")
    assert {name: mark for name, mark in RunFolder(root).record()["read"].items() if name.startswith("package")} == {
        "package timm": "9.9",
        "package torchvision": "9.9",
    }
    taken = load_file(root / "stages/seed0/teacher-none/weights.safetensors")
    known = torch.load(tmp_path / "checkpoints" / "tiny.pth", weights_only=True)
    assert any(torch.equal(tensor, known["0.weight"]) for tensor in taken.values())
    # Each is fed as its own library declares: pictures at the data's size are resized to the network's.
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    for arm, mean in (("teacher-none", 0.5), ("none+distill", 0.4)):
        predictor = predictor_of_run(root, arm=arm)
        (found,) = predict_pictures(root, [tmp_path / "grey.png"], arm=arm)
        assert sum(found.values) == pytest.approx(1) and len(found.values) == 10
        assert predictor.facts.mean == (mean,) * 3 and predictor.facts.rules.shape == (8, 8)
    state = load_file(root / "stages/seed0/small-none+distill/weights.safetensors")
    pixel = (torch.tensor(90 / 255) - 0.4) / 0.25
    logits = state["1.weight"].sum(1) * pixel + state["1.bias"]
    assert found.values == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)


def test_a_network_of_a_folder_begins_from_its_own_weights(libraries: Path, tmp_path: Path) -> None:
    begun = Hugging(SimpleNamespace(num_labels=10))
    save_file(begun.state_dict(), libraries / "model.safetensors")
    settings = [*SETTINGS[:2], f"students[0].model='hf:{libraries}'", "students[0].init=pretrained"]
    rates = ["teacher.train.epochs=1", "students[0].train={epochs: 1, optimizer: {learning_rate: 1.0e-9}}"]
    run(load(QUICK, [*settings, *rates]), tmp_path / "run", only=lambda stage: stage.kind != "test")
    state = load_file(tmp_path / "run/stages/seed0/small-none+distill/weights.safetensors")
    # It began there, and a rate of nearly nothing left it there.
    assert torch.allclose(state["classifier.weight"], begun.state_dict()["classifier.weight"], atol=1e-5)
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    (found,) = predict_pictures(tmp_path / "run", [tmp_path / "grey.png"])
    with torch.no_grad():
        known = begun((torch.full((1, 3, 9, 9), 90 / 255) - 0.3) / 0.2).logits.softmax(1)
    assert found.values == pytest.approx(known[0].tolist(), abs=1e-4)
