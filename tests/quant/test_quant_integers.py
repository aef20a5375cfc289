"""ONNX files for speed: every block in integers, and the predictions still those of the network."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import quantise, quantised_layers
from rolewise.quant.onnx_calibration import _between, _Seen
from rolewise.quant.onnx_export import save_onnx
from rolewise.quant.program import load_program, save_program

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

FORM = {"size": (1, 8, 8), "mean": (0.3,), "std": (0.37,)}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32), torch.tensor(labels)


@cache
def trained(name: str, quantiser: str, weights: int, activations: int) -> nn.Module:
    """Gives a network that was trained on 600 digits."""
    images, labels = digits()
    bits = {"weights": weights, "activations": activations}
    model = quantise(build(name, num_classes=10, channels=1, size=(8, 8), seed=0), bits, quantiser=quantiser).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for epoch in range(4 if name == "resnet8" else 8):
        order = torch.randperm(600, generator=torch.Generator().manual_seed(epoch))
        for part in order.split(50):
            functional.cross_entropy(model((images[part] - 0.3) / 0.37), labels[part]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval()


def run(path: Path, images: torch.Tensor) -> tuple[torch.Tensor, Counter[str]]:
    """Gives the logits, and the operators that ONNX Runtime made of the file's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.optimized_model_filepath = 3, str(path) + ".optimised"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    return found, Counter(node.op_type for node in onnx.load(str(path) + ".optimised").graph.node)


@pytest.mark.parametrize(
    ("name", "quantiser", "weights", "activations"),
    [
        ("resnet8", "lsq", 8, 8),
        slow("small_cnn", "lsq", 8, 8),
        slow("resnet8", "affine", 8, 8),
        slow("resnet8", "pact", 8, 8),
        slow("resnet8", "lsq", 4, 8),
    ],
)
def test_all_blocks_run_in_integers(name: str, quantiser: str, weights: int, activations: int, tmp_path: Path) -> None:
    model, (images, labels) = trained(name, quantiser, weights, activations), digits()
    path = tmp_path / "model.onnx"
    contents = save_onnx(model, path, calibration=images[:256], **FORM)
    graph = onnx.load(path).graph
    # A default session of ONNX Runtime warns of what nothing reads.
    assert {each.name for each in graph.initializer} <= {name for node in graph.node for name in node.input}
    found, kinds = run(path, images[600:])
    with torch.no_grad():
        expected = model((images[600:] - 0.3) / 0.37)
    assert float((expected.argmax(1) == labels[600:]).float().mean()) > 0.8
    assert float((found.argmax(1) == expected.argmax(1)).float().mean()) >= 0.995
    assert float((found - expected).abs().median()) < 0.03 * float(expected.std())
    # The first layer stays in floating point, the last is a matrix product.
    assert kinds["QLinearConv"] == len(list(quantised_layers(model))) and kinds["Conv"] + kinds["FusedConv"] == 1
    # Three sums, of which two have a grid already where a layer that reads them cuts nothing; five that are added.
    assert contents.grids in (range(6, 10) if name == "resnet8" else (1,))
    assert kinds["QLinearAdd"] == (3 if name == "resnet8" else 0)
    assert kinds["QuantizeLinear"] == 1 or quantiser == "pact"


@pytest.mark.slow
def test_few_levels_run_in_integers_too(tmp_path: Path) -> None:
    model, (images, _) = trained("resnet8", "lsq", 4, 4), digits()
    with torch.no_grad():
        expected = model((images[600:] - 0.3) / 0.37).argmax(1)
    for calibration, least in ((images[:256], 0.99), (None, 0.995)):
        save_onnx(model, tmp_path / "model.onnx", calibration=calibration, **FORM)
        found, kinds = run(tmp_path / "model.onnx", images[600:])
        assert float((found.argmax(1) == expected).float().mean()) >= least
        if calibration is not None:
            assert kinds["QLinearConv"] == 8 and kinds["QLinearAdd"] == 3


@pytest.mark.parametrize(("step", "high"), [(0.2, 7.3), (1 / 15, 3.0), (0.5, 1.9)])
def test_rounding_to_a_shared_grid_first_changes_nothing(step: float, high: float) -> None:
    grid = _between(_Seen(0.0, high, 1, {}), [step])
    assert 255 * grid.scale >= high and grid.scale <= 3 * high / 255
    values = np.random.default_rng(0).uniform(0, high, 10_000)
    shared = np.clip(np.rint(values / grid.scale), 0, 255) * grid.scale
    assert np.array_equal(np.rint(shared / step), np.rint(values / step))
    assert (grid.zero_point, grid.lower, grid.upper) == (0, 0, 255)


def test_a_grid_with_negative_values_has_a_level_for_zero() -> None:
    grid = _between(_Seen(-1.0, 1.55, 1, {}), [])
    assert grid.zero_point == 100 and grid.scale == pytest.approx(0.01)


@pytest.mark.parametrize(("quantiser", "bits"), [("lsq", 4), slow("dorefa", 8), slow("pact", 2), slow("affine", 8)])
def test_a_torch_program_computes_as_the_network(quantiser: str, bits: int, tmp_path: Path) -> None:
    model, (images, _) = trained("small_cnn", quantiser, bits, bits), digits()
    save_program(model, tmp_path / "model.pt2", **FORM)
    program = load_program(tmp_path / "model.pt2")
    with torch.no_grad():
        expected = model((images[:70] - 0.3) / 0.37)
    for count in (1, 70):
        assert torch.allclose(program(images[:count]), expected[:count], atol=1e-4)
    assert not program(images[:1]).requires_grad


def test_what_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model\.pt2 is missing, damaged or of another kind"):
        load_program(tmp_path / "model.pt2")

    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="use format onnx or packed"):
        save_program(Branch(), tmp_path / "other.pt2", **FORM)
    assert not (tmp_path / "other.pt2").exists()
