"""The ends of an exported file: what it takes, what it gives, in ONNX Runtime as in torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.quant.deployed import Deployed
from rolewise.quant.file_form import FileForm, InForm
from rolewise.quant.onnx_ends import put_ends
from rolewise.quant.program import load_program, save_program

SIZE, MEAN, STD = (3, 6, 5), (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)


class Flat(nn.Module):
    """A network whose every pixel counts."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(90, 4, generator=draws), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def images_of(shape: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (7, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def expected(form: FileForm, images: Tensor) -> Tensor:
    """Returns the outputs by the way of training: read, prepared, run."""
    logits = Flat()(prepare(images, InputSpec(MEAN, STD, SIZE[1:], form.interpolation)))
    if form.output == "logits":
        return logits
    return logits.softmax(1) if form.activation == "softmax" else logits.sigmoid()


def onnx_of_flat() -> object:
    """Returns the network as an ONNX model of images in [0, 1], written by hand."""
    from onnx import TensorProto, helper, numpy_helper

    column = {name: torch.tensor(values).view(1, 3, 1, 1).numpy() for name, values in (("mean", MEAN), ("std", STD))}
    nodes = [
        helper.make_node("Sub", ["images", "mean"], ["a"]),
        helper.make_node("Div", ["a", "std"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"], axis=1),
        helper.make_node("MatMul", ["c", "weight"], ["logits"]),
    ]
    values = [*column.items(), ("weight", Flat().weight.numpy())]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(value, name) for name, value in values],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


FORMS = [
    FileForm("float32", "probabilities"),
    FileForm("uint8", "logits"),
    FileForm("uint8_bhwc", "probabilities", "sigmoid"),
    FileForm("uint8", "logits", image=(1, 6, 5)),
    FileForm("uint8_bhwc", "logits", image=(3, 9, 8), interpolation="bicubic"),
    FileForm("float32", "logits", image=(1, 4, 11), interpolation="bilinear"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.input}-{form.output}-{form.image}")
def test_a_file_s_ends_compute_what_training_does(form: FileForm) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    images = images_of(form.image or SIZE)
    wanted = expected(form, images)
    inputs = form.inputs(images)
    assert torch.allclose(InForm(Deployed(Flat(), MEAN, STD), SIZE, form)(inputs), wanted, atol=1e-4)
    model = onnx_of_flat()
    put_ends(model, SIZE, form)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,), (result,) = session.get_inputs(), session.get_outputs()
    assert entry.shape == ["batch", *inputs.shape[1:]] and result.name == form.output
    assert entry.type == ("tensor(float)" if form.input == "float32" else "tensor(uint8)")
    found = torch.from_numpy(session.run(None, {"images": inputs.numpy()})[0])
    assert torch.allclose(found, wanted, atol=2e-4)


def test_a_form_of_the_network_s_own_changes_no_byte() -> None:
    pytest.importorskip("onnx")
    model = onnx_of_flat()
    before = model.SerializeToString()
    put_ends(model, SIZE, FileForm(image=SIZE))
    assert model.SerializeToString() == before


@pytest.mark.slow
def test_a_program_takes_and_gives_the_form(tmp_path: Path) -> None:
    form = FORMS[4]
    save_program(Flat(), tmp_path / "a.pt2", size=SIZE, mean=MEAN, std=STD, form=form)
    images = images_of((3, 9, 8))
    found = load_program(tmp_path / "a.pt2")(form.inputs(images))
    assert torch.allclose(found, expected(form, images), atol=1e-4)


def test_a_form_that_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r'input must be one of .*got \'uint\'; did you mean "uint8"'):
        FileForm("uint")
    with pytest.raises(InputError, match="output must be one of logits, probabilities, got 'classes'"):
        FileForm(output="classes")
    with pytest.raises(InputError, match="must be logits where numbers are predicted"):
        FileForm(output="probabilities", activation="none")
