"""A whole experiment on images with masks: searched, distilled, compared within its seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rolewise.config import ConfigError
from rolewise.deploy import predict_pictures, predictor_of_file
from rolewise.deploy.export import export_stage
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.previews import draw_preview

QUICK = Path(__file__).parent / "quick.yaml"
CLASSES = ["ground", "square", "disc"]


def settings(root: Path) -> list[str]:
    data = (
        f"data={{name: image_masks, root: '{root}', validation: 16, test: 24, "
        f"arguments: {{classes: [{', '.join(CLASSES)}], size: [24, 32]}}}}"
    )
    network = "{name: unet, arguments: {widths: [%s], stride: 2}}"
    return [
        "task=segmentation",
        "name=shapes",
        data,
        f"teacher.model={network % '6, 8'}",
        f"students[0].model={network % '2, 4'}",
        "distill.methods=[{name: kd, temperature: 2.0}, {name: similarity, student_taps: [penultimate], "
        "teacher_taps: [penultimate]}]",
        "augment.ops=[rotate, translate_x, flip, brightness]",
        "arms.student=[none, own]",
        "teacher.images=40",
        "students[0].images=40",
        "teacher.train.batch_size=8",
        "students[0].train.batch_size=8",
        "seeds=[0]",
    ]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares and discs on grey, with their masks, whose edges do not count."""
    root = tmp_path_factory.mktemp("shapes")
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:24, :32]
    for name in ("images", "masks"):
        (root / name).mkdir()
    for at in range(80):
        kind, cy, cx, radius = 1 + at % 2, draw.integers(7, 17), draw.integers(7, 25), draw.integers(4, 7)
        far = np.maximum(abs(y - cy), abs(x - cx)) if kind == 1 else np.hypot(y - cy, x - cx)
        mask = np.where(far < radius, kind, 0)
        mask[abs(far - radius) < 0.6] = 255
        grey = 120 + 60 * (far < radius) + draw.normal(0, 20, far.shape)
        Image.fromarray(np.stack([grey.clip(0, 255)] * 3, -1).astype(np.uint8)).save(root / f"images/{at:02}.png")
        Image.fromarray(mask.astype(np.uint8)).save(root / f"masks/{at:02}.png")
    return root


@pytest.fixture(scope="module")
def folder(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "shapes"
    run(load(QUICK, settings(shapes)), out)
    return out


@pytest.mark.slow
def test_results_are_the_mean_iou_with_intervals_over_images(folder: Path):
    found = json.loads((folder / "results.json").read_text())
    assert (found["task"], found["primary"]) == ("segmentation", "mean_iou")
    assert found["test_images"] == 24
    for entry in (*found["arms"], *found["teachers"]):
        assert 0 < entry["metrics"]["mean_iou"]["0"] < 1 and 0 < entry["sampling_error"]["0"] < 0.2
        assert set(entry["metrics"]) == {"mean_iou", "pixel_accuracy", "class_accuracy", "loss"}
    within = [arm["within_seeds"]["0"] for arm in found["arms"] if "within_seeds" in arm]
    assert within and all(one["low"] <= one["mean"] <= one["high"] for one in within)
    seen = np.load(folder / "previews.npz")
    grey = {name: (images == images[:, :1]).all() for name, images in seen.items()}
    assert len(grey) == 7 and not any(grey.values())  # the pictures have no colours, their classes have
    page = (folder / "report.html").read_text()
    assert "mean IoU of the classes" in page and "accuracy on the test set" not in page.lower()
    # Class by class: the mean of the classes' IoU is the run's number, and their pixels give it.
    kept = np.load(folder / "predictions.npz")
    for name in ("small-none+distill", "small-none", "teacher-own"):
        values, pixels = kept[f"by_class/seed0/{name}"], kept[f"confusion/seed0/{name}"]
        arms = {f"{one['student']}-{one['name']}": one for one in found["arms"]}
        arms |= {f"teacher-{one['augmentation']}": one for one in found["teachers"]}
        assert np.nanmean(values) == pytest.approx(arms[name]["metrics"]["mean_iou"]["0"], abs=1e-12)
        union = pixels.sum(0) + pixels.sum(1) - pixels.diagonal()
        assert values == pytest.approx(pixels.diagonal() / union, abs=1e-12)
    assert (
        "IoU in percent" in page and "What small takes for what" in page and "percent of the pixels of the row" in page
    )


@pytest.mark.slow
def test_a_stage_is_evaluated_as_it_was_when_it_was_trained(folder: Path):
    metrics = evaluate_stage(folder, "seed0/small-none")
    done = json.loads((folder / "stages/seed0/small-none/done.json").read_text())
    assert metrics.values["mean_iou"] == done["validation_mean_iou"]


@pytest.mark.parametrize(
    ("changed", "where", "message"),
    [
        (["task=classification"], "task", "classification predicts classes, and the data have masks; write task: seg"),
        (["students[0].model={name: small_cnn}"], "students[0]", "must return logits [B, K, H, W], got [2, 3]"),
        (["task={name: segmentation, ignored: 0}"], "task.ignored", 'no such setting of "segmentation"'),
        (["students[0].mix={method: cutmix}"], "students[0].mix.method", 'must be "none" for the task segmentation'),
    ],
)
def test_what_does_not_go_with_masks_is_refused(shapes: Path, changed: list[str], where: str, message: str):
    with pytest.raises(ConfigError) as error:
        load(QUICK, [*settings(shapes), *changed])
    assert any(where in line and message in line for line in str(error.value).splitlines()), str(error.value)


def test_a_mask_with_another_number_stops_a_run_before_it_starts(shapes: Path, tmp_path: Path):
    arguments = "data.arguments={classes: [ground, thing], size: [24, 32]}"
    with pytest.raises(InputError, match="numbers of 2 classes, 0 to 1, or 255, which is ignored, got 2"):
        run(load(QUICK, [*settings(shapes), arguments]), tmp_path / "r")
    assert not (tmp_path / "r" / "stages").exists()


def test_the_data_are_looked_at_with_the_pixels_of_each_class(shapes: Path, tmp_path: Path, rolewise):
    config = tmp_path / "look.yaml"
    config.write_text(
        f"data: {{name: image_masks, root: '{shapes}', validation: 16, test: 24, "
        f"arguments: {{classes: [{', '.join(CLASSES)}], size: [24, 32]}}}}\n"
    )
    code, out, _ = rolewise("data", "look", config)
    assert code == 0 and "3 classes of pixels" in " ".join(out.split())
    rows = {
        line.split()[0]: line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0] in CLASSES
    }
    assert [int(cell) for cell in rows["ground"][1:4]] == [40, 16, 24]
    # Every image has a square or a disc; neighbours take turns.
    assert sum(int(rows[name][1]) for name in CLASSES[1:]) == 40
    assert sum(float(rows[name][4].rstrip("%")) for name in CLASSES) == pytest.approx(100, abs=0.2)
    masks = [np.asarray(Image.open(path)) for path in (shapes / "masks").glob("*.png")]
    assert 0.02 < np.mean([mask == 255 for mask in masks]) < 0.2
    assert "Pixels that do not count: " in out


def test_a_preview_shows_masks_below_their_images(shapes: Path, tmp_path: Path):
    draw_preview("none", tmp_path / "p.png", load(QUICK, settings(shapes)))
    page = np.asarray(Image.open(tmp_path / "p.png"))
    assert page.shape[0] == 8 * (24 + 1) * (page.shape[1] // (10 * 33))
    scale = page.shape[1] // 330
    strips = page[::scale, ::scale].reshape(8, 25, 330, 3)
    # Without augmentation all four pairs of rows are alike; masks hold black, two colours, and white.
    assert all((strips[0] == strips[at]).all() for at in (2, 4, 6))
    assert all((strips[1] == strips[at]).all() for at in (3, 5, 7))
    assert len(np.unique(strips[1, :24].reshape(-1, 3), axis=0)) == 4


@pytest.mark.parametrize(
    ("body", "fault"), [("outputs.logits.mean((1, 2, 3))", ""), ("outputs.logits.mean()", "values")]
)
def test_a_metric_of_ones_own_is_tried_on_masks(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, fault: str
):
    name = f"mask_metric_{len(fault)}"
    (tmp_path / f"{name}.py").write_text(f"def mean_logit(outputs, batch):\n    return {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    changed = [*settings(shapes), f"metrics=['{name}:mean_logit']"]
    if not fault:
        assert load(QUICK, changed).metrics
        return
    with pytest.raises(ConfigError, match=r"metrics\[0\]"):
        load(QUICK, changed)


@pytest.mark.slow
def test_a_segmenter_is_exported_and_its_file_predicts_masks(folder: Path, shapes: Path, tmp_path: Path, rolewise):
    pytest.importorskip("onnxscript")
    path = tmp_path / "small.file"
    made = export_stage(folder, "seed0/small-own+distill", "onnx", path, given="uint8_bhwc", output="probabilities")
    assert made.agreement > 0.995 and made.metric.key == "mean_iou"
    found = json.loads((folder / "results.json").read_text())
    tested = next(arm for arm in found["arms"] if arm["name"] == "own+distill")["metrics"]["mean_iou"]["0"]
    assert made.score == pytest.approx(tested, abs=0.01)
    assert "of the pixels of 24 test images" in made.remarks[0] and "mean IoU of both masks" in made.remarks[0]
    facts = predictor_of_file(path).facts
    assert facts.kind == "segmentation" and list(facts.classes) == CLASSES and facts.agreement == made.agreement
    assert facts.agreement_images.startswith("the pixels of 24 test images")
    pictures = sorted((shapes / "images").glob("0*.png"))
    by_file = predict_pictures(path, pictures)
    by_run = predict_pictures(folder, pictures, stage="seed0/small-own+distill")
    for one, other in zip(by_file, by_run, strict=True):
        assert one.mask.shape == (24, 32) and (one.mask == other.mask).float().mean() > 0.98
        assert sum(one.values) == pytest.approx(1)
    code, text, _ = rolewise("predict", str(path), *map(str, pictures), "--masks", str(tmp_path / "masks"))
    assert code == 0 and "ground" in text and "share" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("Network", "Masks"))) <= 80
    with Image.open(tmp_path / "masks/00.png") as written:
        assert written.mode == "P" and np.array_equal(np.asarray(written), by_file[0].mask.numpy())


@pytest.mark.slow
def test_masks_are_of_a_segmenter_and_never_over_the_pictures(folder: Path, shapes: Path, rolewise):
    pictures = sorted(map(str, (shapes / "images").glob("0*.png")))
    code, _, text = rolewise("predict", str(folder), *pictures, "--masks", str(shapes / "images"))
    assert code == 2 and "must not be written over the pictures" in text
