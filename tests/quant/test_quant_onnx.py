"""ONNX files of few-bit networks, run in ONNX Runtime against the networks themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import quantise
from rolewise.quant.onnx_export import save_onnx

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def trained(quantiser: str, bits: int) -> tuple[torch.nn.Module, torch.Tensor]:
    model = build("resnet8", num_classes=10, channels=3, size=(16, 16), seed=0)
    model = quantise(model, bits, quantiser=quantiser, keep=()).train()
    images = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        model(normalised(images))
    return model.eval(), images


def normalised(images: torch.Tensor) -> torch.Tensor:
    return (images - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)


@pytest.mark.parametrize(
    ("quantiser", "bits"), [("lsq", 8), ("lsq", 2), ("affine", 8), ("dorefa", 4), ("dorefa", 1), ("pact", 2)]
)
def test_the_file_computes_as_the_network(quantiser: str, bits: int, tmp_path: Path) -> None:
    model, images = trained(quantiser, bits)
    path = tmp_path / "model.onnx"
    save_onnx(model, path, size=(3, 16, 16), mean=MEAN, std=STD)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(normalised(images))
    for count in (1, 64):
        found = torch.from_numpy(session.run(None, {"images": images[:count].numpy()})[0])
        assert bool((found.argmax(1) == expected[:count].argmax(1)).float().mean() >= 0.98)
    # A value at the edge between two levels may fall to either side; most values have no such luck.
    assert float((found - expected).abs().median()) < 1e-3
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    levels = [kind for name, kind in kinds.items() if name.endswith("weight.levels")]
    assert len(levels) == 10 and set(levels) == {onnx.TensorProto.INT8}


def test_levels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model, _ = trained("dorefa", 8)
    with pytest.raises(InputError, match="at most 7 bits of dorefa"):
        save_onnx(model, tmp_path / "model.onnx", size=(3, 16, 16), mean=MEAN, std=STD)
    assert not list(tmp_path.iterdir())
