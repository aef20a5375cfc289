"""Studies of texts: measured by each role's own tokens, and by no measurement that changes pixels."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from text_toys import encoder_folder

from rolewise.config import ConfigError
from rolewise.experiment import run
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stages import find_stage, trained_network
from rolewise.instruments import features_of, predict
from rolewise.models import construct
from rolewise.study import load_study, run_study

pytestmark = pytest.mark.usefixtures("figures_unrendered")
pytest.importorskip("transformers")

LINES = ("the film was good", "a very good plot", "good end", "the bad film", "a dull end", "very bad")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a bag of words whose teacher reads another tokenizer's tokens."""
    root = tmp_path_factory.mktemp("texts")
    for name, count in (("train", 24), ("dev", 12), ("test", 18)):
        rows = (f"{LINES[at % 6]} {['film', 'plot', 'end'][at % 3]}\t{int(at % 6 < 3)}" for at in range(count))
        (root / f"{name}.tsv").write_text("\n".join(rows), encoding="utf-8")
    own, other = encoder_folder(root / "own"), encoder_folder(root / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    words = [word for word in tokenizer["model"]["vocab"] if not word.startswith("[")]
    last = max(tokenizer["model"]["vocab"].values())
    tokenizer["model"]["vocab"] |= {word: last - at for at, word in enumerate(words)}
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    bag = "{name: bag_of_embeddings, arguments: {width: 8}}"
    train = "{epochs: 3, batch_size: 8, optimizer: {name: adam, learning_rate: 0.05}}"
    path = root / "study.yaml"
    path.write_text(
        f"""
name: texts
seeds: [0]
workers: 1
experiment:
  name: texts
  seeds: [0]
  data:
    name: text_file
    root: {root}
    arguments:
      {{file: train.tsv, validation: dev.tsv, test: test.tsv, columns: [text, label], classes: [bad, good],
       tokenizer: {{student: {own}, teacher: {other}}}, length: 12}}
  teacher: {{model: {bag}, train: {train}}}
  students: [{{name: bag, model: {bag}, train: {train}}}]
  distill: {{view: clean}}
  arms: {{teacher: [none], student: [none], distill: [true]}}
grid: {{distill.label_weight: [0.1]}}
measure: [accuracy, calibration, fidelity, geometry, "own_measure:tokens"]
""",
        encoding="utf-8",
    )
    (root / "own_measure.py").write_text(
        """
def tokens(model, batches):
    counts = [(int(inputs["attention_mask"].sum()), len(model(**inputs))) for inputs, labels in batches]
    return {"tokens": sum(count for count, _ in counts), "texts": sum(number for _, number in counts)}
""",
        encoding="utf-8",
    )
    return path


def test_the_table_of_texts_is_that_of_a_run(written: Path, tmp_path: Path) -> None:
    study = load_study(written)
    made = run_study(study, tmp_path / "s", isolate=False)
    assert not made.failed
    with (tmp_path / "s" / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    config = study.cells[0].config
    results = run(config, tmp_path / "r")
    (arm,) = results["arms"]
    assert {"accuracy", "loss"} == arm["metrics"].keys()
    assert all(float(row[key]) == found["0"] for key, found in arm["metrics"].items())
    folder = RunFolder(tmp_path / "r")
    data = seed_data_of(config, 0, torch.device("cpu"), folder.root)
    found: dict[str, Any] = {}
    opened = data.test.open("a test")
    for stage in (find_stage(config, "seed0/bag-none+distill"), find_stage(config, "seed0/teacher-none")):
        source = data.seen_by(stage.role, opened.source)
        batch = source.batch(opened.indices)
        logits = trained_network(folder, data, stage).eval()(**batch).detach()
        found[stage.role] = logits, batch
    (student, batch), (teacher, other) = found["bag"], found["teacher"]
    assert not torch.equal(batch["input_ids"], other["input_ids"])
    labels = opened.source.labels[opened.indices]
    assert float(row["nll"]) == pytest.approx(torch.nn.functional.cross_entropy(student, labels).item(), rel=1e-5)
    assert float(row["agreement"]) == (student.argmax(1) == teacher.argmax(1)).float().mean().item()
    assert float(row["teacher_accuracy"]) == pytest.approx((teacher.argmax(1) == labels).float().mean().item())
    assert (float(row["tokens"]), float(row["texts"])) == (batch["attention_mask"].sum().item(), len(labels))
    assert float(row["dispersion_within"]) > 0


@pytest.mark.parametrize("name", ["smoothness", "robustness", "corruptions"])
def test_what_changes_pixels_is_refused_before_anything_starts(written: Path, name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"measure\[1\]: must be of answers alone .* got '{name}', which changes pix"
    ):
        load_study(written, [f"measure=[accuracy,{name}]"])


def test_predictions_and_features_of_texts(written: Path) -> None:
    study = load_study(written)
    config = study.cells[0].config
    data = seed_data_of(config, 0, torch.device("cpu"), written.parent)
    network = construct(
        "bag_of_embeddings", {"width": 8}, num_classes=2, channels=1, size=(1, 8), vocabulary=17, seed=0
    )
    rows = torch.arange(6)
    batches = [(data.source.batch(part), data.source.labels[part]) for part in (rows[:4], rows[4:])]
    found = predict(network, batches)
    assert found.logits.shape == (6, 2) and torch.equal(found.labels, data.source.labels[:6])
    features = features_of(network, batches, ["penultimate"]).values["penultimate"]
    torch.testing.assert_close(network.get_submodule("head")(features), found.logits)
    for wrong, text in (
        ([({"input_ids": rows.view(2, 3)}, rows)], "a class int64 .* for each text"),
        ([({"input_ids": [1, 2]}, rows)], "mapping of tensors"),
        ([({}, rows)], "mapping of tensors"),
    ):
        with pytest.raises(ValueError, match=text):
            predict(network, wrong)
