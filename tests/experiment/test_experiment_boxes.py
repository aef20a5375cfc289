"""A whole experiment on images with boxes: searched, distilled, compared within its seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.config import ConfigError
from rolewise.experiment import evaluation_timing, load, run
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.previews import draw_preview
from rolewise.experiment.seed_data import seed_data_of

QUICK = Path(__file__).parent / "quick.yaml"
NAMES = {"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall"}


def settings(root: Path) -> list[str]:
    network = "{name: fcos_small, arguments: {widths: [%s], depth: 1, bins: 5}}"
    return [
        "task={name: detection, areas: [12, 18], score: 0.002, most: 20}",
        "name=shapes",
        f"data={{name: coco_detection, root: '{root}', validation: 8, test: 16, "
        "arguments: {images: images, annotations: boxes.json, size: [32, 48]}}",
        f"teacher.model={network % '4, 6, 8, 8'}",
        f"students[0].model={network % '2, 4, 4, 4'}",
        "distill.methods=[{name: kd, temperature: 2.0}, {name: similarity, student_taps: [level1], "
        "teacher_taps: [level1]}]",
        "distill.label_weight=1.0",
        "augment.ops=[rotate, translate_x, flip, brightness]",
        "arms.student=[none, own]",
        "teacher.train.epochs=3",
        "students[0].train.epochs=3",
        "search.members=2",
        "arms.distill=[true]",
        "teacher.images=24",
        "students[0].images=24",
        "teacher.train.batch_size=8",
        "students[0].train.batch_size=8",
        "seeds=[0]",
    ]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dim squares on grey, one to three in an image."""
    root = tmp_path_factory.mktemp("shapes")
    (root / "images").mkdir()
    draw = np.random.default_rng(0)
    images, annotations = [], []
    for at in range(48):
        picture = draw.normal(100, 10, (32, 48, 3))
        for _ in range(draw.integers(1, 4)):
            side, kind = int(draw.integers(8, 22)), int(draw.integers(2))
            x, y = int(draw.integers(0, 48 - side)), int(draw.integers(0, 32 - side))
            picture[y : y + side, x : x + side] = 30 if kind else 220
            annotations.append(
                {"id": len(annotations), "image_id": at, "category_id": kind, "bbox": [x, y, side, side], "iscrowd": 0}
            )
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / f"images/{at:02}.png")
        images.append({"id": at, "file_name": f"{at:02}.png", "width": 48, "height": 32})
    names = [{"id": 0, "name": "bright"}, {"id": 1, "name": "dim"}]
    (root / "boxes.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": names}))
    return root


def test_a_detector_is_timed_with_boxes_that_it_finds(shapes: Path, monkeypatch: pytest.MonkeyPatch):
    config = load(QUICK, [*settings(shapes), "task.score=0.9"])
    data, whole, found = seed_data_of(config, 0, torch.device("cpu")), evaluation_timing.evaluate, []

    def kept(*arguments: Any, **named: Any) -> Any:
        measured = whole(*arguments, **named)
        found.append(measured)
        return measured

    monkeypatch.setattr(evaluation_timing, "evaluate", kept)
    assert (
        evaluation_timing.evaluating_seconds(data, "teacher") > 0
        and evaluation_timing.resampling_seconds(data, "teacher") > 0
    )
    for measured in found:
        assert any(len(scores) for kind in measured.metric._kinds.values() for _, _, scores in kind)


@pytest.mark.slow
def test_results_are_average_precision_with_intervals_over_images(shapes: Path, tmp_path: Path):
    folder = tmp_path / "run"
    run(load(QUICK, settings(shapes)), folder)
    found = json.loads((folder / "results.json").read_text())
    assert (found["task"], found["primary"]) == ("detection", "ap")
    assert found["test_images"] == 16
    for entry in (*found["arms"], *found["teachers"]):
        assert set(entry["metrics"]) == NAMES
        assert 0 <= entry["metrics"]["ap"]["0"] < 1 and "0" in entry["sampling_error"]
    within = [arm["within_seeds"]["0"] for arm in found["arms"] if "within_seeds" in arm]
    assert within and all(one["low"] <= one["mean"] <= one["high"] for one in within)
    page = (folder / "report.html").read_text()
    assert "COCO AP" in page and "accuracy on the test set" not in page.lower()
    kept = np.load(folder / "predictions.npz")
    (arm,) = (one for one in found["arms"] if one["name"] == "none+distill")
    each = kept["by_class/seed0/small-none+distill"]
    assert each.shape == (2,) and np.nanmean(each) == pytest.approx(arm["metrics"]["ap"]["0"], abs=1e-12)
    assert "AP in percent" in page and "takes for what" not in page
    metrics = evaluate_stage(folder, "seed0/small-none+distill")
    done = json.loads((folder / "stages/seed0/small-none+distill/done.json").read_text())
    assert metrics.values["ap"] == done["validation_ap"]
    previews = np.load(folder / "previews.npz")
    assert {"clean"} < set(previews.files)


@pytest.mark.parametrize(
    ("changed", "where", "message"),
    [
        (["task=classification"], "task", "classification predicts classes, and the data have boxes; write task: det"),
        (
            ["students[0].model={name: small_cnn}"],
            "students[0]",
            "a detector must return a mapping with logits [B, A, K]",
        ),
        (["task={name: detection, overlaps: 0}"], "task.overlaps", 'no such setting of "detection"'),
        (["students[0].mix={method: cutmix}"], "students[0].mix.method", 'must be "none" for the task detection'),
        (["distill.methods=[{name: dkd}]"], "distill.methods[0]", "must compare at least 3 classes"),
    ],
)
def test_what_does_not_go_with_boxes_is_refused(shapes: Path, changed: list[str], where: str, message: str):
    with pytest.raises(ConfigError) as error:
        load(QUICK, [*settings(shapes), *changed])
    assert any(where in line and message in line for line in str(error.value).splitlines()), str(error.value)


def test_the_data_are_looked_at_with_the_boxes_of_each_class(shapes: Path, tmp_path: Path, rolewise):
    config = tmp_path / "look.yaml"
    config.write_text(
        f"data: {{name: coco_detection, root: '{shapes}', validation: 8, test: 16, "
        "arguments: {images: images, annotations: boxes.json, size: [32, 48]}}\n"
    )
    code, out, _ = rolewise("data", "look", config)
    assert code == 0 and "2 classes of boxes" in " ".join(out.split())
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.split()[:1]}
    assert [int(cell) for cell in rows["all"][2:5]] == [24, 8, 16]
    assert int(rows["bright"][4]) + int(rows["dim"][4]) >= 24
    assert "the training images' boxes of it" in " ".join(out.split())


def test_a_preview_draws_boxes_on_their_images(shapes: Path, tmp_path: Path):
    draw_preview("none", tmp_path / "p.png", load(QUICK, settings(shapes)))
    page = np.asarray(Image.open(tmp_path / "p.png"))
    scale = page.shape[1] // (10 * 49)
    strips = page[::scale, ::scale].reshape(4, 33, 490, 3)
    # Without augmentation all rows are alike; outlines are of pure colours, which the grey images have not.
    assert all((strips[0] == strips[at]).all() for at in (1, 2, 3))
    pure = (strips[0].max(2) == 255) & (strips[0].min(2) == 0)
    assert pure.sum() > 10 * 4 * 7


@pytest.mark.parametrize(("body", "fault"), [("outputs.logits.mean((1, 2))", ""), ("outputs.logits.mean()", "values")])
def test_a_metric_of_ones_own_is_tried_on_boxes(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, fault: str
):
    name = f"box_metric_{len(fault)}"
    (tmp_path / f"{name}.py").write_text(f"def mean_logit(outputs, batch):\n    return {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    changed = [*settings(shapes), f"metrics=['{name}:mean_logit']"]
    if not fault:
        assert load(QUICK, changed).metrics
        return
    with pytest.raises(ConfigError, match=r"metrics\[0\]"):
        load(QUICK, changed)


OWN_LOSSES = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 8, 8)

    def forward(self, images, targets=None):
        features = self.body(images).mean((2, 3))
        if self.training:
            wanted = torch.stack([target["boxes"].mean(0) for target in targets])
            return {"loss_boxes": (features / 9 - wanted / 9).square().mean()}
        empty = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}
        return [empty for _ in images]

def make(num_classes):
    return Net()
"""


def test_a_network_that_makes_its_own_losses_is_a_student_of_a_config(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "own_losses_net.py").write_text(OWN_LOSSES)
    monkeypatch.syspath_prepend(tmp_path)
    changed = ["students[0].model={name: 'own_losses_net:make'}", "distill.methods=[%s]"]
    features = "{name: nst, student_taps: [body], teacher_taps: [level1]}"
    config = load(QUICK, [*settings(shapes), changed[0], changed[1] % features])
    assert config.students[0].model.name == "own_losses_net:make"
    with pytest.raises(ConfigError, match="take methods on features"):
        load(QUICK, [*settings(shapes), changed[0], changed[1] % "{name: kd}"])
