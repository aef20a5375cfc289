"""ONNX files of few-bit networks, run in ONNX Runtime against the networks themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import QUANTISERS, Codes, quantise, quantised_layers
from rolewise.quant import onnx_export as exporter
from rolewise.quant.onnx_export import save_onnx
from rolewise.quant.onnx_levels import levels_of, nearest

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
FORM = {"size": (3, 16, 16), "mean": MEAN, "std": STD}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def trained(quantiser: str, bits: int, name: str = "resnet8", keep=()) -> tuple[nn.Module, torch.Tensor]:
    """Gives a network whose norms are of any sign and size, as training makes them, and images."""
    generator = torch.Generator().manual_seed(0)
    model = build(name, num_classes=10, channels=3, size=(16, 16), seed=0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            size = torch.rand(len(norm.weight), generator=generator) + 0.5
            sign = torch.where(torch.rand(len(size), generator=generator) < 0.25, -1.0, 1.0)
            norm.weight.data = size * sign
            norm.bias.data = torch.randn(len(size), generator=generator) * 0.3
    model = quantise(model, bits, quantiser=quantiser, keep=keep).train()
    images = torch.rand(64, 3, 16, 16, generator=generator)
    for _ in range(3):
        model(normalised(images))
    return model.eval(), images


def normalised(images: torch.Tensor) -> torch.Tensor:
    return (images - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)


def session(path: Path, *, exact: bool = False, optimised: Path | None = None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def logits(path: Path, images: torch.Tensor, **options) -> torch.Tensor:
    return torch.from_numpy(session(path, **options).run(None, {"images": images.numpy()})[0])


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(
    ("quantiser", "bits"),
    [
        ("lsq", 8),
        ("lsq", 4),
        ("dorefa", 8),
        *(slow("affine", bits) for bits in (2, 4, 8)),
        *(slow("dorefa", bits) for bits in (1, 2, 4)),
        *(slow("pact", bits) for bits in (2, 4, 8)),
        slow("lsq", 2),
    ],
)
def test_the_file_computes_as_the_network(quantiser: str, bits: int, tmp_path: Path) -> None:
    model, images = trained(quantiser, bits)
    path = tmp_path / "model.onnx"
    assert save_onnx(model, path, **FORM).grids == 0
    assert "BatchNormalization" not in operators(path)
    with torch.no_grad():
        expected = model(normalised(images))
        again = model.double()(normalised(images.double())).float()
    # A value at the edge between two levels may fall to either side, as it does where the network itself computes in
    # double precision. -128 becomes 127 where a channel's sign turns.
    allowed = 1e-4 + 3 * float((again - expected).abs().median()) + (0.01 * float(expected.std()) if bits == 8 else 0)
    for exact in (True, False):
        # The default session must not round what the network does not: it rounds biases where it can.
        for count in (1, 64):
            found = logits(path, images[:count], exact=exact)
            assert bool((found.argmax(1) == expected[:count].argmax(1)).float().mean() >= 0.98)
        assert float((found - expected).abs().median()) < allowed


class Chain(nn.Module):
    """Layers on whose way to the next levels stand a maximum, a reshaping, a cut with computed ends, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 1)
        self.fourth, self.fifth = nn.Linear(200, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.first(x), 2).relu()
        x = nn.functional.hardtanh(self.second(x), 0.0, 1.0)
        x = self.third(x).flatten(1)
        return self.fifth(self.fourth(x).relu())


@pytest.mark.parametrize(("quantiser", "weights", "activations"), [("lsq", None, 2), ("affine", 4, 4)])
def test_a_default_session_rounds_neither_biases_nor_weights(
    quantiser: str, weights: int | None, activations: int, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    model: nn.Module = Chain()
    images = torch.rand(256, 3, 16, 16, generator=generator)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    model = quantise(model, {"weights": weights, "activations": activations}, quantiser=quantiser, keep=()).train()
    model(normalised(images))
    model.eval()
    path = tmp_path / "model.onnx"
    save_onnx(model, path, **FORM)
    with torch.no_grad():
        expected = model(normalised(images))
    found = logits(path, images)
    # Values at the very edge between two levels may fall to either side.
    assert float((found - expected).abs().amax(1).sort().values[250]) < 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("name", ["resnet8", "small_cnn"])
def test_norms_are_part_of_the_weights(name: str, tmp_path: Path) -> None:
    model, images = trained("lsq", 4, name)
    save_onnx(model, tmp_path / "model.onnx", **FORM)
    graph = onnx.load(tmp_path / "model.onnx").graph
    modules = dict(model.named_modules())
    conv, norm = ("stages.0.0.conv1", "stages.0.0.bn1") if name == "resnet8" else ("stages.1.0", "stages.1.1")
    weight = f"network.{conv}.weight.values"
    graph.output.append(onnx.helper.make_tensor_value_info(weight, onnx.TensorProto.FLOAT, None))
    (tmp_path / "more.onnx").write_bytes(onnx.ModelProto(graph=graph, ir_version=10, opset_import=[
        onnx.helper.make_opsetid("", 21)]).SerializeToString())  # fmt: skip
    (found,) = session(tmp_path / "more.onnx").run([weight], {"images": images[:1].numpy()})
    bn = modules[norm]
    factor = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
    levels = torch.round(modules[conv].weight.double() / modules[conv].weight_quantiser.step.double()).clamp(-8, 7)
    expected = factor.view(-1, 1, 1, 1) * levels * modules[conv].weight_quantiser.step.double()
    assert bool((factor < 0).any())
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_a_norm_stays_where_something_else_reads_the_layer(tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.twice, self.one, self.two = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            y = self.norm(y) + y
            return self.two(self.twice(self.one(self.twice(y)))).mean((2, 3))

    model, images = Both(), torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    low = quantise(model, 8, keep=()).train()
    low(normalised(images))
    low.eval()
    save_onnx(low, tmp_path / "model.onnx", calibration=images, **FORM)
    assert operators(tmp_path / "model.onnx").count("BatchNormalization") == 3
    with torch.no_grad():
        expected = low(normalised(images))
    assert torch.allclose(logits(tmp_path / "model.onnx", images), expected, atol=0.05 * float(expected.abs().max()))


def test_levels_by_hand() -> None:
    codes = Codes(
        torch.tensor([[0, 128, 255], [0, 128, 255]], dtype=torch.uint8), torch.tensor(0.5), torch.tensor(-64.0), 8
    )
    found = levels_of("layer", codes, np.array([2.0, -3.0]))
    # -128 has no counterpart: where the sign turns it becomes 127.
    assert found.levels.tolist() == [[-128, 0, 127], [127, 0, -127]]
    assert found.scale.tolist() == [1.0, 1.5] and found.shift is None
    assert levels_of("layer", codes, np.array([0.0, 1.0])).levels[0].tolist() == [0, 0, 0]


def test_levels_at_halves_by_hand() -> None:
    codes = Codes(
        torch.tensor([[0, 127, 255], [0, 127, 255]], dtype=torch.uint8), torch.tensor(2.0), torch.tensor(-255.0), 8
    )
    found = levels_of("layer", codes, np.array([1.0, -0.5]))
    assert found.shift is not None and found.levels.dtype == np.uint8
    values = found.scale[:, None] * (found.levels.astype(float) - found.zero) + found.shift[:, None]
    assert values.tolist() == [[-255.0, -1.0, 255.0], [127.5, 0.5, -127.5]]
    near = nearest(found)
    assert near.levels.tolist() == [[-127, 0, 127], [127, 0, -127]] and near.shift is None
    assert near.levels[0, 2] * near.scale[0] == pytest.approx(255.0)


@pytest.mark.parametrize("size", [1.0, 1e-8])
def test_two_levels_lie_on_either_side_of_zero_however_small(size: float) -> None:
    codes = Codes(torch.tensor([[0, 1]], dtype=torch.uint8), torch.tensor(2 * size), torch.tensor(-size), 1)
    found = levels_of("layer", codes, np.ones(1))
    assert (found.scale[:, None] * found.levels / size).tolist() == [[pytest.approx(-1), pytest.approx(1)]]


def test_levels_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = trained("lsq", 4)
    layer = dict(quantised_layers(model))["stages.0.0.conv1"]
    odd = Codes(torch.zeros_like(layer.weight, dtype=torch.uint8), torch.tensor(1.0), torch.tensor(0.3), 8)
    monkeypatch.setattr(layer.weight_quantiser, "codes", lambda weight: odd)
    with pytest.raises(InputError, match=r"stages\.0\.0\.conv1.*use format packed or torch"):
        save_onnx(model, tmp_path / "model.onnx", **FORM)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("quantiser", "bits", "kinds"),
    [
        ("lsq", 4, {"INT4", "UINT4"}),
        ("dorefa", 4, {"UINT4"}),
        slow("lsq", 2, {"INT4"}),
        slow("affine", 5, {"INT8"}),
    ],
)
@pytest.mark.slow
def test_four_bits_take_half_the_place(quantiser: str, bits: int, kinds: set[str], tmp_path: Path) -> None:
    model, images = trained(quantiser, bits)
    narrow, wide = tmp_path / "narrow.onnx", tmp_path / "wide.onnx"
    assert save_onnx(model, narrow, **FORM).narrow == (bits <= 4)
    assert not save_onnx(model, wide, narrow=False, **FORM).narrow
    stored = [tensor for tensor in onnx.load(narrow).graph.initializer if tensor.name.endswith(".weight.levels")]
    assert len(stored) == 10
    assert {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in stored} <= kinds
    assert torch.equal(logits(narrow, images), logits(wide, images))
    weights = sum(layer.weight.numel() for _, layer in quantised_layers(model))
    saved = wide.stat().st_size - narrow.stat().st_size
    assert saved > 0.35 * weights if bits <= 4 else saved == 0


@pytest.mark.slow
def test_a_runtime_without_four_bits_gets_eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = trained("lsq", 4)
    monkeypatch.setattr(exporter, "_loads", lambda content: False)
    assert not save_onnx(model, tmp_path / "model.onnx", **FORM).narrow
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert not kinds & {onnx.TensorProto.INT4, onnx.TensorProto.UINT4}
    assert logits(tmp_path / "model.onnx", images).shape == (64, 10)


def test_four_bits_of_one_sign_that_a_norm_turns_fit_the_file(tmp_path: Path) -> None:
    # Levels from -8 to 0, times -1: from 0 to 8, which no INT4 holds.
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3), nn.BatchNorm2d(1), nn.Flatten()).eval()
    weight = torch.linspace(-8, 0, 36).round().view(1, 4, 3, 3)
    model[2].weight.data, model[3].weight.data = 0.1 * weight, torch.tensor([-1.0])
    low = quantise(model, {"weights": 4}, keep=("first",))
    low[2].weight_quantiser.step.data.fill_(0.1)
    assert save_onnx(low, tmp_path / "turned.onnx", **FORM).narrow
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(logits(tmp_path / "turned.onnx", images), low(normalised(images)), atol=1e-4)


def test_the_measured_agreement_is_whole_for_every_quantiser_at_every_number_of_bits() -> None:
    root = Path(__file__).resolve().parents[2]
    rows = json.loads((root / "benchmarks/results/onnx_agreement.json").read_text())["rows"]
    every = {(name, bits) for name in QUANTISERS for bits in (2, 4, 8)}
    assert {(row["quantiser"], row["bits"]) for row in rows} == every
    assert min(row["default"] for row in rows) == 1.0
