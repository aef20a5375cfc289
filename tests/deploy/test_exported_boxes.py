"""Files of detectors, the boxes that they find on pictures, and the agreement of two detectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import rolewise as rw
from rolewise.batch import Outputs
from rolewise.cli import app
from rolewise.data.box_files import box_on_picture, placed_box
from rolewise.deploy import content_prediction, export_stage, predict_pictures, prediction_as_json, predictor_of_file
from rolewise.deploy.box_agreement import compared_boxes
from rolewise.deploy.file_facts import facts_of
from rolewise.deploy.open_file import open_file
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.quant import quantise

SPEC, CLASSES = InputSpec((0.4,) * 3, (0.2,) * 3), ("disc", "square", "ring")
TASK = rw.Detection(score=0.06, most=12)
KEPT = ("first", "classifier", "regressor")


def detector() -> torch.nn.Module:
    """A small detector that finds something everywhere, in another way for each picture."""
    network: Any = build("fcos_small", num_classes=3, widths=[3, 4, 4, 4], depth=1, bins=5, seed=1)
    with torch.no_grad():
        network.classifier.weight.mul_(60)
        network.classifier.bias.fill_(-1.5)
    return network.eval()


def at_eight_bits() -> torch.nn.Module:
    network = quantise(detector(), 8, keep=KEPT).train()
    network(torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(2)))
    return network.eval()


def images() -> torch.Tensor:
    return torch.randint(0, 256, (5, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def packed(path: Path) -> Path:
    how = {"image": (3, 32, 48), "spec": SPEC, "classes": CLASSES, "task": "detection", "resize": "pad"}
    file = rw.export_network(at_eight_bits(), path, format="packed", detection=TASK, images=images(), **how)
    assert file.agreement == 1 and "boxes of both in 5 given images" in file.remarks[0]
    assert "3 layers stay in floating point, with float32's size and time: stages.0.0, classifier" in file.remarks[1]
    # A packed file names its network, which only a run knows.
    head = json.loads(rw_metadata(path))
    arguments = {"widths": [3, 4, 4, 4], "depth": 1, "bins": 5}
    head["metadata"]["network"] = json.dumps({"name": "fcos_small", "arguments": arguments, "input": [3, 32, 48]})
    from safetensors.torch import load_file, save_file

    save_file(load_file(path), path, {"rolewise-packed": json.dumps(head)})
    return path


def rw_metadata(path: Path) -> str:
    from rolewise.tensors import read_tensors

    return read_tensors(path, "file")[1]["rolewise-packed"]


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_a_box_comes_back_onto_its_picture(resize: str) -> None:
    box, stored = (70.0, 22.0, 90.0, 41.0), (160, 60)
    placed, left = placed_box(box, stored, (32, 48), resize)
    assert left == pytest.approx(1) and box_on_picture(placed, stored, (32, 48), resize) == pytest.approx(box)
    whole = box_on_picture((0.0, 0.0, 48.0, 32.0), stored, (32, 48), resize)
    assert whole == pytest.approx((35, 0, 125, 60) if resize == "crop" else (0, 0, 160, 60))


def test_an_agreement_counts_boxes_with_a_partner() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]])
    logits = torch.tensor([[[3.0, -9], [-9, 2.0], [1.0, -9]]])
    known = Outputs({"boxes": boxes, "logits": logits})
    same = compared_boxes(known, known, 0.05, 0.6, 100)
    assert (same.share, same.largest, same.boxes, same.mean_iou) == (1.0, 0.0, 6, pytest.approx(1.0))
    # One box is of another class, one has an IoU of 0.8, and the third is 0.5 pixels wider: 10 / 10.5.
    moved = boxes + torch.tensor([[[0.0, 0, 0, 0], [0, 0, -2, 0], [0, 0, 0.5, 0]]])
    other = Outputs({"boxes": moved, "logits": torch.stack([logits[:, 0].flip(1), *logits[:, 1:].unbind(1)], 1)})
    found = compared_boxes(other, known, 0.05, 0.6, 100)
    assert (found.share, found.boxes) == (pytest.approx(1 / 3), 6)
    assert found.mean_iou == pytest.approx(10 / 10.5)
    assert found.largest == pytest.approx(float(torch.tensor(3.0).sigmoid() - torch.tensor(-9.0).sigmoid()))
    # A box has one partner alone.
    twice = Outputs({"boxes": boxes[:, [0, 0, 0]], "logits": logits[:, [0, 0, 0]]})
    assert compared_boxes(twice, known, 0.05, 1.0, 100).share == pytest.approx(2 / 6)
    nothing = Outputs({"boxes": boxes, "logits": torch.full((1, 3, 2), -9.0)})
    assert compared_boxes(nothing, nothing, 0.05, 0.6, 100).share == 1
    assert compared_boxes(nothing, known, 0.05, 0.6, 100).share == 0


def test_boxes_of_a_file_are_told_drawn_and_written(tmp_path: Path) -> None:
    path = packed(tmp_path / "eight.bits")
    predict, facts = open_file(path)
    assert (facts.kind, facts.classes) == ("detection", CLASSES) and vars(facts.boxes) == {
        "score": 0.06,
        "overlap": 0.6,
        "most": 12,
    }
    given = facts.form.inputs(images())
    network = at_eight_bits()
    outputs = network((given - 0.4) / 0.2)
    wanted = torch.cat([outputs["boxes"], outputs["logits"]], -1)
    assert torch.allclose(predict(given), wanted, atol=1e-4)
    # A picture twice as large, beside a file that is none.
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = images()[0].permute(1, 2, 0).numpy().repeat(2, 0).repeat(2, 1)
    Image.fromarray(pixels).save(photos / "a.png")
    predictor = predictor_of_file(path)
    (found,) = predict_pictures(path, [photos])
    assert found.boxes and all(box.score >= 0.06 for box in found.boxes) and len(found.boxes) <= 12
    assert found == content_prediction(predictor, (photos / "a.png").read_bytes()).__class__(
        photos / "a.png", boxes=content_prediction(predictor, (photos / "a.png").read_bytes()).boxes
    )
    assert max(max(box.corners) for box in found.boxes) > 48
    told = prediction_as_json(predictor, found, 2)["predictions"]
    assert len(told) == 2 and set(told[0]) == {"class", "score", "box"} and told[0]["score"] >= told[1]["score"] >= 0.25
    (photos / "b.png").write_text("no picture")
    options = ["--csv", str(tmp_path / "boxes.csv"), "--draw", str(tmp_path / "drawn"), "--score", "0.3"]
    result = CliRunner().invoke(app, ["predict", str(path), str(photos), *options])
    assert result.exit_code == 1
    lines = (tmp_path / "boxes.csv").read_text().splitlines()
    assert lines[0] == "image,class,score,x1,y1,x2,y2,fault" and "cannot be read" in lines[-1]
    assert 2 < len(lines) <= 14 and all(float(line.split(",")[2]) >= 0.3 for line in lines[1:-1])
    with Image.open(tmp_path / "drawn/a.png") as image:
        assert image.size == (96, 64) and not np.array_equal(np.asarray(image), pixels)
    assert [one.name for one in (tmp_path / "drawn").iterdir()] == ["a.png"]
    table = [line for line in result.output.splitlines() if "%" in line]
    assert len(table) == len(lines) - 2 and max(map(len, table)) <= 79
    none = CliRunner().invoke(app, ["predict", str(path), str(photos / "a.png"), "--score", "1"])
    assert none.exit_code == 0 and "no box with a score of 1 or above" in none.output
    wrong = CliRunner().invoke(app, ["predict", str(path), str(photos), "--masks", str(tmp_path)])
    assert "--masks is for segmentation, got a network of detection" in str(wrong.exception)


def test_a_detector_without_places_of_its_own_is_refused(tmp_path: Path) -> None:
    class Finished(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
            box = {"boxes": torch.zeros(1, 4), "scores": torch.ones(1), "labels": torch.ones(1, dtype=torch.int64)}
            return [box for _ in images]

    with pytest.raises(InputError, match=r"a detector must be a dense one to become a file, .* got finished boxes"):
        rw.export_network(
            Finished(), tmp_path / "x", image=(3, 8, 8), spec=SPEC, classes=CLASSES, task="detection", format="torch"
        )
    known = facts_of(json.loads(rw_metadata(packed(tmp_path / "a")))["metadata"], "file").metadata
    with pytest.raises(InputError, match=r"score must be at least 0 and below 1, got 2.*rolewise export"):
        facts_of({**known, "boxes_score": "2"}, "file")
    with pytest.raises(InputError, match="it has no boxes_most"):
        facts_of({key: value for key, value in known.items() if key != "boxes_most"}, "file")


@pytest.mark.slow
def test_an_onnx_file_has_boxes_and_probabilities_apart(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    session_of = pytest.importorskip("onnxruntime").InferenceSession
    how = {"image": (3, 32, 48), "spec": SPEC, "classes": CLASSES, "task": "detection", "detection": TASK}
    path = tmp_path / "detector.onnx"
    # Without images no further grids, for which it would be exported again.
    rw.export_network(at_eight_bits(), path, input="uint8_bhwc", output="probabilities", **how)
    session = session_of(str(path), providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape[1:]) for one in session.get_outputs()] == [
        ("boxes", [30, 4]),
        ("probabilities", [30, 3]),
    ]
    predict, facts = open_file(path)
    found = predict(facts.form.inputs(images()))
    with torch.no_grad():
        outputs = at_eight_bits()((images().float() / 255 - 0.4) / 0.2)
    known = Outputs({"boxes": outputs["boxes"], "logits": outputs["logits"]})
    same = compared_boxes(Outputs({"boxes": found[..., :4], "logits": found[..., 4:].logit()}), known, 0.06, 0.6, 12)
    assert same.boxes > 20 and same.share == 1 and same.largest < 1e-4


QUICK = Path(__file__).parents[1] / "experiment" / "quick.yaml"


def shapes(root: Path) -> list[str]:
    """Writes bright squares on grey, and returns the settings of a small experiment on them."""
    (root / "images").mkdir(parents=True)
    draw, images, boxes = np.random.default_rng(0), [], []
    for at in range(36):
        picture = draw.normal(100, 10, (32, 48, 3))
        x, y, side = int(draw.integers(0, 26)), int(draw.integers(0, 10)), int(draw.integers(10, 22))
        picture[y : y + side, x : x + side] = 220
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / f"images/{at:02}.png")
        images.append({"id": at, "file_name": f"{at:02}.png", "width": 48, "height": 32})
        boxes.append({"id": at, "image_id": at, "category_id": 0, "bbox": [x, y, side, side], "iscrowd": 0})
    document = {"images": images, "annotations": boxes, "categories": [{"id": 0, "name": "bright"}]}
    (root / "boxes.json").write_text(json.dumps(document))
    network = "{name: fcos_small, arguments: {widths: [%s], depth: 1, bins: 5}}"
    return [
        "task={name: detection, score: 0.002}",
        f"data={{name: coco_detection, root: '{root}', validation: 6, test: 6, "
        "arguments: {images: images, annotations: boxes.json, size: [32, 48]}}",
        f"teacher.model={network % '4, 6, 8, 8'}",
        f"students=[{{name: eight, model: {network % '2, 4, 4, 4'}, train: {{epochs: 2, batch_size: 8}}, "
        "quantise: {weights: 8, activations: 8, keep: [first, classifier, regressor]}}]",
        "distill.methods=[{name: kd, temperature: 2.0}]",
        "augment.ops=[flip, brightness]",
        "arms={teacher: [none], student: [none], distill: [true]}",
        "teacher.train.epochs=2",
        "teacher.train.batch_size=8",
        "teacher.images=24",
        "seeds=[0]",
    ]


@pytest.mark.slow
def test_a_detector_at_eight_bits_is_trained_and_exported(tmp_path: Path) -> None:
    settings, folder = shapes(tmp_path / "shapes"), tmp_path / "run"
    run(load(QUICK, settings), folder, only=lambda stage: stage.kind != "test")
    made = export_stage(folder, "seed0/eight-none+distill", "packed", tmp_path / "eight.packed")
    card = made.card.read_text()
    assert "| layers in floating point | stages.0.0, classifier, regressor |" in card and "W8 A8" in card
    assert "| finds the boxes of the trained network for | 100.00% of the boxes of these images |" in card
    assert (
        "| pictures | pad to 32 x 48 (height x width), bicubic with antialiasing by Pillow, not turned by EXIF, on"
        in card
    )
    assert "| boxes | score at least 0.002, then suppression above an IoU of 0.6, at most 100;" in card
    assert made.metric.key == "ap" and made.agreement == 1 and "the boxes" in card
    pictures = [tmp_path / "shapes/images"]
    found = predict_pictures(tmp_path / "eight.packed", pictures)
    known = predict_pictures(folder, pictures)
    assert sum(len(one.boxes) for one in known) > 36
    # At few bits a picture on the border between two levels may move: nearly all have the same boxes.
    same = [
        [box.score for box in one.boxes] == pytest.approx([box.score for box in other.boxes], abs=1e-5)
        for one, other in zip(found, known, strict=True)
    ]
    assert sum(same) >= 33
