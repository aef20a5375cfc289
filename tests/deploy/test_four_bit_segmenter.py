"""A segmenter at four bits: trained under a teacher, and as a file that gives its masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import rolewise as rw
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build
from rolewise.quant import quantise

SPEC, CLASSES, SIZE = InputSpec((0.4,) * 3, (0.25,) * 3), ("ground", "road", "car"), (16, 24)
HOW: dict[str, Any] = {
    "image": (3, *SIZE),
    "spec": SPEC,
    "classes": CLASSES,
    "task": "segmentation",
    "resize": "squash",
}


def images() -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def segmenter() -> torch.nn.Module:
    """A student of 4 bits after some steps, whose head is of half the images' resolution."""
    teacher = build("unet", num_classes=3, size=SIZE, widths=[6, 8])
    student = quantise(build("unet", num_classes=3, size=SIZE, widths=[4, 6], stride=2), 4)
    distiller = rw.Distiller(teacher, student, [rw.kd(temperature=2.0)], task=rw.Segmentation())
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), 0.01)
    inputs = prepare(images(), SPEC)
    masks = (inputs.mean(1) > 0).long() + (inputs[:, 0] > 1).long()
    masks[0] = 255
    losses = []
    for _ in range(12):
        terms = distiller(inputs, masks)
        terms.total.backward()
        losses.append(float(terms["labels"].detach()))
        optimizer.step(), optimizer.zero_grad()
    assert losses[-1] < losses[0]
    return student.eval()


def test_a_packed_file_of_four_bits_gives_the_networks_masks(segmenter: torch.nn.Module, tmp_path: Path) -> None:
    made = rw.export_network(segmenter, tmp_path / "roads.packed", format="packed", images=images(), **HOW)
    assert (
        made.agreement is not None and made.agreement > 0.999 and "of the pixels of 6 given images" in made.remarks[0]
    )


@pytest.mark.slow
def test_an_onnx_file_of_four_bits_runs_in_onnx_runtime(segmenter: torch.nn.Module, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    session_of = pytest.importorskip("onnxruntime").InferenceSession
    path = tmp_path / "roads.onnx"
    made = rw.export_network(segmenter, path, input="uint8_bhwc", output="probabilities", images=images(), **HOW)
    assert made.agreement is not None and made.agreement > 0.95
    session = session_of(str(path), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == [*CLASSES] and facts["task"] == "segmentation"
    assert {"mean", "std", "picture_size", "picture_resize", "input"} <= set(facts)
    given = {session.get_inputs()[0].name: images().movedim(1, 3).numpy()}
    (found,) = session.run(None, given)
    assert found.shape == (6, 3, *SIZE) and found.sum(1) == pytest.approx(1.0, abs=1e-5)
