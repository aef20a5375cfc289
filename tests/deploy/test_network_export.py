"""Export of a network that no run trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from photo_toys import photograph
from torch import nn

import rolewise as rw
from rolewise.deploy.open_file import open_file
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare

SPEC = InputSpec((0.3, 0.4, 0.5), (0.2, 0.2, 0.2), (10, 9), "bicubic")


def network() -> nn.Module:
    draws = torch.Generator().manual_seed(0)
    layer = nn.Linear(270, 3)
    layer.weight.data = torch.randn(3, 270, generator=draws) / 16
    return nn.Sequential(nn.Flatten(), nn.Dropout(), layer).train()


@pytest.mark.slow
def test_a_plain_network_s_file_predicts_as_it_does(tmp_path: Path) -> None:
    model = network()
    photograph(0, 1).save(tmp_path / "a.png")
    images = torch.randint(0, 256, (9, 3, 20, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    settings = {"image": (3, 20, 24), "spec": SPEC, "classes": ["a", "b", "c"], "format": "torch"}
    made = rw.export_network(
        model, tmp_path / "a.pt2", **settings, input="uint8", output="probabilities", images=images, resize="squash"
    )
    assert made.agreement == 1 and "for 100.00% of 9 given images" in made.remarks[0]
    assert model.training and model[1].training
    predict, facts = open_file(tmp_path / "a.pt2")
    assert facts.classes == ("a", "b", "c") and facts.rules.resize == "squash" and len(facts.digest) == 64
    model.eval()
    with torch.no_grad():
        known = model(prepare(images, SPEC)).softmax(1)
        read = torch.from_numpy(
            facts.rules.streamed([tmp_path / "a.png"], torch.zeros(1).long(), ("",), []).decode(tmp_path / "a.png")
        )
        picture = model(prepare(read[None], SPEC)).softmax(1)
    assert torch.allclose(predict(images), known, atol=1e-5)
    (found,) = rw.predict_pictures(tmp_path / "a.pt2", [tmp_path / "a.png"])
    assert found.values == pytest.approx(picture[0].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"image": (2, 20, 24)}, r"image must be \(C, H, W\) with C 1 or 3"),
        ({"classes": ["a", "b"]}, r"classes must name each of the network's outputs, \[3\], got 2 names"),
        ({"format": "onxn"}, 'did you mean "onnx"'),
        ({"task": "regresion"}, 'did you mean "regression"'),
        ({"images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, r"images must be uint8 \[N, 3, 20, 24\]"),
        ({"crop_ratio": 0.05}, r"crop_ratio must be a number from 0\.1 to 1, got 0\.05"),
        ({"crop_ratio": 0.8, "resize": "pad"}, r"crop_ratio must be 1 where resize is pad, got 0\.8"),
        ({"crop_ratio": 0.8, "task": "segmentation"}, r"crop_ratio must be 1 for segmentation"),
        ({"input": "uint16"}, "input must be one of"),
        ({"task": "regression", "output": "probabilities"}, "must be logits where numbers are predicted"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_a_file_is_written(
    tmp_path: Path, changes: dict[str, object], part: str
) -> None:
    settings = {"image": (3, 20, 24), "spec": SPEC, "classes": ["a", "b", "c"], "format": "torch"}
    with pytest.raises(InputError, match=part):
        rw.export_network(network(), tmp_path / "a.pt2", **{**settings, **changes})
    assert not list(tmp_path.iterdir())
