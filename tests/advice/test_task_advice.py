"""Advice on detectors and on texts: what is found there, what does not apply, and the command as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from text_toys import encoder_folder
from torch import Tensor, nn

import rolewise as rw
from rolewise.advice import rules
from rolewise.advice.dense_rules import dense_choices
from rolewise.advice.gradient_probe import Pull
from rolewise.advice.task_faults import task_faults
from rolewise.data import ImageData, packed_boxes
from rolewise.experiment import load, run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.inputs import InputSpec

RIGHT = InputSpec((0.0,) * 3, (1.0,) * 3)


class Bright(nn.Module):
    """Finds a box of 8 x 8 pixels wherever the place in its middle is brighter than half of what 1 is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(30.0))
        y, x = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
        self.places = (torch.stack([x, y], -1).view(-1, 2) * 8 + 4).float()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        level = images[:, 0][:, 3::8, 3::8].flatten(1)
        logits = self.gain * torch.stack([level - 0.5, level - 0.5], -1)
        # Colours part the classes: red objects and blue ones.
        blue = images[:, 2][:, 3::8, 3::8].flatten(1)
        logits[..., 1] = self.gain * (blue - 0.5)
        boxes = torch.cat([self.places - 4, self.places + 4], -1).expand(len(images), -1, -1)
        strides = torch.full((len(self.places),), 8.0)
        return {"logits": logits, "boxes": boxes, "locations": self.places, "strides": strides}


def squares(count: int = 40) -> ImageData:
    """Red and blue squares on the places of a grid."""
    draw = np.random.default_rng(0)
    images, rows = np.full((count, 3, 32, 48), 60, np.uint8), []
    for at in range(count):
        places = draw.choice(24, 3, replace=False)
        labels = draw.integers(0, 2, 3)
        corners = np.stack([places % 6, places // 6], 1) * 8
        boxes = np.concatenate([corners, corners + 8], 1)
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            images[at, 2 * label, y1:y2, x1:x2] = 220
        rows.append((boxes, labels.tolist(), [False] * 3))
    return ImageData(torch.from_numpy(images), packed_boxes(rows), ("red", "blue"))


@pytest.mark.parametrize(
    ("spec", "fault"),
    [(RIGHT, None), (InputSpec((-1.0,) * 3, (1.0,) * 3), "normalisation"), (None, "channel_order")],
)
def test_a_detector_s_faults_are_judged_by_its_precision(spec: InputSpec | None, fault: str | None) -> None:
    source, teacher = squares(), Bright()
    if spec is None:
        source = ImageData(source.images.flip(1), source.labels, source.classes)
    found = task_faults(
        teacher,
        rw.Detection(),
        source,
        torch.arange(40),
        train_images=source.images,
        spec=spec or RIGHT,
        device=torch.device("cpu"),
    )
    assert [one.name for one in found.faults] == ([fault] if fault else [])
    assert found.value > 0.9 and found.examples == 40
    assert {one.fault for one in found.tried} >= {"normalisation"} and len(found.tried) > 5
    if fault == "normalisation":
        # All that tell bright from dim are as good, the very one among them.
        assert found.faults[0].sentence.startswith("COCO AP ") and "pixels in [0, 1]" in found.faults[0].also


def test_pixels_are_compared_unsoftened_beside_whole_labels_and_other_tasks_keep_their_settings() -> None:
    given = [{"name": "kd", "temperature": 4.0, "weight": 1.0}, {"name": "cwd", "temperature": 4.0}]
    methods, choices, weight = dense_choices("segmentation", given)
    assert methods == [{"name": "kd", "temperature": 1.0, "weight": 1.0}, given[1]] and weight == 1
    assert [one.setting for one in choices] == ["distill.methods.temperature", "distill.label_weight"]
    assert [one.setting for one in dense_choices("detection", given)[1]] == ["distill.label_weight"]
    assert dense_choices("detection", given)[0] == given and dense_choices("multi_label", given) == (given, [], None)


@pytest.mark.parametrize(("ratio", "weight"), [(0.099, 0.25), (0.05, 0.5), (34.0, 0.25), (60.0, 0.125), (1.0, 0.25)])
def test_a_weight_hardly_beyond_a_bound_stays(ratio: float, weight: float) -> None:
    methods, (choice,) = rules.weights([{"name": "kd", "weight": 0.25}], [Pull("kd", 0.25, ratio, 4)], 1.0)
    assert methods[0]["weight"] == choice.value == weight
    assert ("within 0.1 to 30" in choice.reason) == (weight == 0.25)


@pytest.fixture
def rolewise(rolewise: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """As elsewhere, with what is printed in one line."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code, text, error = rolewise(*arguments)
        return code, " ".join(text.split()), error

    return call


def test_the_command_advises_on_a_detector(rolewise, tmp_path: Path) -> None:
    source = squares(24)
    (tmp_path / "images").mkdir()
    images, boxes = [], []
    for at, image in enumerate(source.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"images/{at:02}.png")
        images.append({"id": at, "file_name": f"{at:02}.png", "width": 48, "height": 32})
        for x1, y1, x2, y2, label, _ in source.labels[at].tolist():
            box = {"id": len(boxes), "image_id": at, "category_id": int(label), "iscrowd": 0}
            boxes.append({**box, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    names = [{"id": at, "name": name} for at, name in enumerate(source.classes)]
    (tmp_path / "boxes.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": names}))
    network = "{name: fcos_small, arguments: {widths: [2, 4, 4, 4], depth: 0, bins: 3}}"
    (tmp_path / "boxes.yaml").write_text(
        f"""
name: squares
task: detection
data: {{name: coco_detection, root: {tmp_path}, validation: 6, test: 6,
        arguments: {{images: images, annotations: boxes.json, size: [32, 48]}}}}
teacher: {{model: {network}, train: {{epochs: 1, batch_size: 8}}}}
students: [{{name: small, model: {network}, train: {{epochs: 1, batch_size: 8}}}}]
distill: {{methods: [{{name: kd, temperature: 2.0, weight: 1.0}}]}}
arms: {{teacher: [none], student: [none], distill: [true]}}
seeds: [0]
"""
    )
    config = load(tmp_path / "boxes.yaml")
    teacher = seed_data_of(config, 0, torch.device("cpu")).network(config.teacher.model, "teacher")
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors")
    out = tmp_path / "advice"
    code, text, error = rolewise(
        *("advise", tmp_path / "boxes.yaml", "--teacher", tmp_path / "teacher.safetensors", "--out", out)
    )
    assert code == 0, error
    assert "Advice for small" in text and "COCO AP, validation" in text and "No fault was found" in text
    assert "class_order is found by counting right answers, and detection has none" in text
    assert "augmentation and mixing follow from how much a teacher's mean answer" in text
    assert (
        "The gradient of kd at weight " in text
        and "labels' term at weight 1." in text
        and "distill.methods[0].weight" in text
    )
    assert "corrections were tried on 6 images" in text and "AP at IoU 0.50" in text and "AP of the class blue" in text
    assert "distill.label_weight 1 low" in text and "what papers on it set is proposed, without a measurement" in text
    assert "for a whole image: not tried; where outputs are in another order, AP of the classes is near 0." in text
    assert load(out / "advice.yaml").distill.label_weight == 1
    found = json.loads((out / "advice.json").read_text())
    assert found["faults"] == [] and found["task"] == "detection" and found["pulls"][0]["ratio"] > 0
    code, text, error = rolewise("validate", out / "advice.yaml")
    assert code == 0 and "is valid" in text, error
    assert (out / "advice.md").read_text().startswith("# Advice for small")


@pytest.mark.slow
def test_the_command_advises_on_texts(rolewise, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    tokenizer = encoder_folder(tmp_path / "encoder")
    texts = {"good": ("the film was good", "a very good plot"), "bad": ("the bad film", "very bad")}
    rows = [f"{text}\t{name}" for name, some in texts.items() for text in some for _ in range(8)]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    train = "{epochs: 12, batch_size: 8, optimizer: {name: adamw, learning_rate: 0.05}}"
    network = "{name: bag_of_embeddings, arguments: {width: 6, hidden: 0}}"
    (tmp_path / "texts.yaml").write_text(
        f"""
name: texts
seeds: [0]
workers: 1
data: {{name: text_file, root: {tmp_path},
        arguments: {{validation: dev.tsv, test: test.tsv, tokenizer: {tokenizer}, length: 10}}}}
teacher: {{model: {network}, train: {train}}}
students: [{{name: bag, model: {network}, train: {train}}}]
arms: {{teacher: [none], student: [none], distill: [true]}}
"""
    )
    folder = tmp_path / "run"
    run(load(tmp_path / "texts.yaml"), folder, only=lambda stage: stage.kind == "teacher")
    call = ("advise", tmp_path / "texts.yaml", "--out", tmp_path / "advice")
    code, text, error = rolewise(*call, "--run", folder, "seed0/teacher-none")
    assert code == 0, error
    assert "No fault was found" in text and "accuracy, validation 100.0%" in text
    assert "right on training texts 100.0%" in text and "are of pixels, and texts have none: not tried" in text
    assert "distill.label_weight 0.1" in text and "distill.methods.temperature" in text
    assert load(tmp_path / "advice/advice.yaml").distill.label_weight == 0.1
    weights = folder / "stages/seed0/teacher-none/weights.safetensors"
    two = f"data.arguments.tokenizer={{student: {encoder_folder(tmp_path / 'other')}, teacher: {tokenizer}}}"
    code, text, error = rolewise(*call, "--teacher", weights, "--set", two, "--set", "distill.view=clean")
    assert code == 0 and "distill.label_weight 0.1" in text, error
    state = load_file(weights)
    turned = {name: value.flip(0) if name.startswith("head.") else value for name, value in state.items()}
    save_file(turned, tmp_path / "turned.safetensors")
    code, text, error = rolewise(*call, "--teacher", tmp_path / "turned.safetensors", "--check")
    assert code == 3, error
    assert "class_order: the outputs stand for the classes in another order" in text
    assert "output 1 for class 0, 0 for class 1" in text and "The teacher alone was looked at" in text
