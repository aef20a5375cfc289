"""Experiments and studies by metrics that their configs choose: reward, results, keys and pages go by them."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from rolewise.config import ConfigError, dump, experiment_digest
from rolewise.experiment import load, run
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.own_code import code_read_by
from rolewise.experiment.stage_graph import stages_of
from rolewise.report import write_report
from rolewise.report.run_data import read_run
from rolewise.report.study_data import read_study
from rolewise.study.keys import measure_key, stage_keys
from rolewise.study.study_run import load_study, run_study

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
SMALL = ["seeds=[0]", "arms.student=[own]", "arms.control=own", "arms.distill=[true]", "teacher.train.epochs=2"]
OWN = """
from rolewise.tasks import metric


@metric(title="miss plus hundred", unit="points", higher_is_better=False)
def miss(outputs, batch, *, offset: float = 100.0):
    return offset + (outputs.logits.argmax(1) != batch.targets).float()


def summed(outputs, batch):
    return outputs.logits.sum()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "my_metrics.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        yield folder
    sys.modules.pop("my_metrics", None)


CHOSEN = ["metrics=['my_metrics:miss', balanced_accuracy]"]


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    run(load(QUICK, [*SMALL, *CHOSEN]), home / "run")
    return home / "run"


def test_a_search_is_rewarded_by_the_primary_metric(finished: Path):
    lineage = json.loads((finished / "stages/seed0/small-search/lineage.json").read_text())
    scores = [score for line in lineage["history"] for score in line]
    assert all(-101 <= score < -100 for score in scores) and len(set(scores)) > 1
    last = lineage["history"][-1]
    assert last[lineage["best"]] == max(last)
    done = json.loads((finished / "stages/seed0/small-own+distill/done.json").read_text())
    record = (finished / "stages/seed0/small-own+distill/record.jsonl").read_text().splitlines()
    assert json.loads(record[-1])["validation_miss"] == done["validation_miss"]
    assert "validation_accuracy" not in done
    metrics = evaluate_stage(finished, "seed0/small-own+distill")
    assert metrics.first == done["validation_miss"] == pytest.approx(101 - metrics.accuracy)
    assert float(metrics.correct.double().mean()) == metrics.accuracy
    assert torch.equal(metrics.metric.per_example(), 101 - metrics.correct.double())


def test_results_and_pages_name_it(finished: Path):
    found = json.loads((finished / "results.json").read_text())
    assert (found["task"], found["primary"]) == ("classification", "miss")
    assert [info["key"] for info in found["metrics"]] == ["miss", "balanced_accuracy", "accuracy", "loss"]
    values = found["arms"][0]["metrics"]
    assert values["miss"]["0"] == pytest.approx(101 - values["accuracy"]["0"])
    page = (finished / "report.html").read_text()
    for part in ('<th scope="col">miss plus hundred', "lower is better", "Other metrics", "balanced accuracy, %"):
        assert part in page, part


def test_an_unfinished_page_knows_their_names(finished: Path, home: Path):
    shutil.copytree(finished, home / "half")
    for name in ("results.json", "timing.json", "report.html"):
        (home / "half" / name).unlink()
    data = read_run(home / "half")
    assert data.results is None and [info.key for info in data.metrics][:2] == ["miss", "balanced_accuracy"]
    assert "Not finished: the test set is still sealed" in write_report(home / "half").read_text()


def test_keys_have_what_rewards_depend_on_and_no_more(home: Path):
    config = load(QUICK, SMALL)
    before = stage_keys(config)
    beside, first, other = (
        load(QUICK, [*SMALL, *settings])
        for settings in (
            [*CHOSEN, "primary=accuracy"],
            CHOSEN,
            ["metrics=[{name: 'my_metrics:miss', offset: 0.0}]"],
        )
    )
    # A metric that rewards nothing trains nothing anew; it is measured anew.
    assert stage_keys(beside) == before
    training = before["seed0/small-own+distill"]
    assert (
        measure_key(training, (), beside.metrics)
        != measure_key(training, (), config.metrics)
        == measure_key(training, ())
    )
    keys = [stage_keys(one) for one in (config, first, other)]
    for name in before:
        assert len({one[name] for one in keys}) == 3, name
    tests = [stage for stage in stages_of(beside) if stage.kind == "test"]
    assert [code_read_by(beside, stage) for stage in stages_of(beside) if stage not in tests] == [[]] * len(before)
    assert [code_read_by(beside, stage) for stage in tests] == [["my_metrics:miss"]]
    assert all(code_read_by(first, stage) == ["my_metrics:miss"] for stage in stages_of(first))


def test_a_config_without_metrics_is_written_as_before_there_were_any():
    config = load(QUICK)
    assert "metrics" not in dump(config) and "primary" not in dump(config)
    assert experiment_digest(load(QUICK, ["metrics=[]"])) == experiment_digest(config)
    assert "primary: loss" in dump(load(QUICK, ["primary=loss"]))


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        ("metrics=[balanced_acuracy]", "metrics[0]", 'did you mean "balanced_accuracy"?'),
        ("metrics=[{name: f1_makro}]", "metrics[0].name", 'did you mean "f1_macro" or "f1_micro"?'),
        ("metrics=['my_metrics:mist']", "metrics[0]", "has no 'mist'; did you mean \"miss\"?"),
        ("metrics=[{name: 'my_metrics:miss', ofset: 1}]", "metrics[0].ofset", 'did you mean "offset"?'),
        ("metrics=[{name: 'my_metrics:miss', offset: no}]", "metrics[0].offset", "must be a number, got 'no'"),
        (
            "metrics=[loss, 'my_metrics:summed']",
            "metrics[1]",
            "must return a value for each of 8 examples, [B], got []",
        ),
        ("metrics=[{name: top_k_accuracy, k: 11}]", "metrics[0].k", "at most the number of classes, 10, got 11"),
        ("primary=f1_macro", "primary", "must be one of the metrics, got 'f1_macro'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(home: Path, settings: str, where: str, message: str):
    with pytest.raises(ConfigError) as error:
        load(QUICK, [settings])
    assert any(f"{where}: " in line and message in line for line in str(error.value).splitlines()), str(error.value)


def test_without_imports_metrics_are_left_out_by_name(home: Path):
    notes: list[str] = []
    load(QUICK, ["metrics=['nowhere:miss', f1_macro]", "primary=nothing"], imports=False, on_note=notes.append)
    assert any("metrics[0] (nowhere:miss)" in note for note in notes), notes
    with pytest.raises(ConfigError, match="f1_makro"):
        load(QUICK, ["metrics=['nowhere:miss', f1_makro]"], imports=False, on_note=notes.append)


STUDY = f"""
name: chosen
base: {QUICK}
seeds: [0, 1]
best: true
set:
  metrics: ["my_metrics:miss", {{name: top_k_accuracy, k: 3}}]
  teacher.train.epochs: 1
  arms: {{teacher: [none], student: [none], distill: [true], control: none}}
grid: {{distill.label_weight: [0.1, 1.0]}}
questions:
  - ask: Do labels help?
    of: {{distill.label_weight: 1.0}}
    against: {{distill.label_weight: 0.1}}
    wanted: lower
"""


def test_a_study_is_by_the_primary_metric(home: Path):
    (home / "study.yaml").write_text(STUDY)
    made = load_study(home / "study.yaml")
    assert [one.metric for one in made.questions] == ["miss"]
    run_study(made, home / "s", isolate=False)
    with (home / "s/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-9:-3] == ["reason", "miss", "top_3_accuracy", "accuracy", "loss", "validation_miss"]
    for row in rows:
        assert float(row["miss"]) == pytest.approx(101 - float(row["accuracy"]))
        assert 0 < float(row["accuracy"]) <= float(row["top_3_accuracy"]) <= 1
        assert 100 <= float(row["validation_miss"]) <= 101 and 100 <= float(row["teacher_miss"]) <= 101
    assert read_study(home / "s").metric.title == "miss plus hundred"
    page = (home / "s/report.html").read_text()
    assert "the miss plus hundred at a level is compared" in page and "Do labels help?" in page
