"""A student that learns from its teacher on training images without classes, from the config to the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from rolewise.config import ConfigError
from rolewise.experiment import builders, load, run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.files import read_json
from rolewise.models import construct
from rolewise.train import Trainee, evaluate, save_weights

CONFIG = """\
name: free
seeds: [0]
device: cpu
workers: 1
data: {name: image_folder, root: %s, validation: 6, arguments: {size: 8, unlabelled: true}}
teacher: {model: {name: small_cnn, arguments: {widths: [2, 4]}}, weights: %s}
students:
  - name: small
    model: {name: small_cnn, arguments: {widths: [2, 4]}}
    train: {epochs: 1, batch_size: 8}
distill: {label_weight: 0}
search: {members: 2, intervals: 2, student_epochs: 2}
arms: {teacher: [none], student: [none, own], distill: [true]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    stream = torch.Generator().manual_seed(0)
    for place, count in (("free/unlabelled", 24), ("free/test/cat", 8), ("free/test/dog", 8)):
        (tmp_path / place).mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(256, (9, 11, 3), dtype=torch.uint8, generator=stream).numpy()
            Image.fromarray(pixels).save(tmp_path / place / f"{number}.png")
    network = construct("small_cnn", {"widths": [2, 4]}, num_classes=2, channels=3, size=(8, 8), seed=1)
    save_weights(network, tmp_path / "teacher.safetensors")
    path = tmp_path / "free.yaml"
    path.write_text(CONFIG % (tmp_path / "free", tmp_path / "teacher.safetensors"))
    return path


def test_a_training_sees_no_classes(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = load(config)
    data = seed_data_of(experiment, 0, torch.device("cpu"))
    section, seen = experiment.students[0], []
    networks = [data.network(section.model, role) for role in ("student", "teacher")]
    distiller = builders.distiller(data, section, networks[0], networks[1], data.train)
    run_all = type(distiller).run_all
    monkeypatch.setattr(type(distiller), "run_all", lambda self, batch: seen.append(batch) or run_all(self, batch))
    trainee = Trainee(
        distiller,
        data.source,
        data.train,
        augmentation=builders.preset(experiment, "none"),
        settings=builders.train_settings(section.train, experiment),
        seed=0,
    )
    (record,) = trainee.run_epochs(0, 1)
    assert set(record["terms"]) == {"kd"} and len(seen) == 3
    assert all(batch.targets is None for batch in seen)
    assert sorted(torch.cat([batch.indices for batch in seen]).tolist()) == list(range(24))
    metrics = evaluate(trainee.model, data.source, data.validation, data.spec(section.model))
    assert metrics.examples == 6 and 0 <= metrics.accuracy <= 1


@pytest.mark.slow
def test_a_run_distils_on_images_without_classes(config: Path) -> None:
    out = config.parent / "run"
    results = run(load(config), out)
    assert results["test_images"] == 10
    assert [arm["name"] for arm in results["arms"]] == ["none+distill", "own+distill"]
    # The run goes on where it stands, with nothing to do.
    assert run(load(config), out) == results
    record = (out / "stages/seed0/small-none+distill/record.jsonl").read_text().splitlines()
    assert '"kd"' in record[0] and '"labels"' not in record[0] and "validation_accuracy" in record[0]
    assert read_json(out / "results.json", "results") == results


def faults(config: Path, *settings: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(config, settings)
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("setting", "path", "part"),
    [
        ("distill.label_weight=0.1", "distill.label_weight", "must be 0, got 0.1: the training images have no classes"),
        ("teacher.weights=null", "teacher.weights", "must be the file of a trained teacher"),
        ("arms.distill=[true, false]", "arms.distill", "must be [true], got [true, false]"),
        ("arms.teacher=[own]", "arms.teacher", 'must not have "own"'),
        ("arms.student=[teacher]", "arms.student", 'must not have "teacher"'),
        ("search.scalars={label_weight: {low: 0, high: 1}}", "search.scalars.label_weight", "must be left out"),
        ("retrain_on_validation=true", "retrain_on_validation", "must be false"),
        ("students[0].mix={method: mixup}", "students[0].mix.method", 'must be "none", got "mixup"'),
        ("students[0].train.label_smoothing=0.1", "students[0].train.label_smoothing", "must be 0, got 0.1"),
        (
            "distill.methods=[{name: wsld}]",
            "distill.methods[0]",
            "reads the classes of images, and the training images",
        ),
        ("distill.methods=[{name: crd}]", "distill.methods[0]", "write negatives_from: all in a config"),
        ("data.validation=16", "data.validation", "must leave some of the 16 labelled images to test on"),
        ("data.test=11", "data.test", "must be 1 to 10"),
        ("data.limit=25", "data.limit", "must be at most the 24 training examples"),
    ],
)
def test_what_needs_classes_is_refused_before_training(config: Path, setting: str, path: str, part: str) -> None:
    found = faults(config, setting)
    assert list(found) == [path] and part in found[path], found


def test_a_bound_by_the_labels_gradient_is_refused(config: Path) -> None:
    found = faults(config, "students[0].train.distill_gradient=limited")
    assert any("distill_gradient" in path for path in found), found


def test_crd_takes_negatives_of_all_examples_where_there_are_no_classes(config: Path) -> None:
    assert load(config, ["distill.methods=[{name: crd, negatives_from: all, negatives: 8}]"])
