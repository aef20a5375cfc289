"""Studies whose targets are no classes."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.report.study_data import read_study
from rolewise.report.study_page import study_sentences
from rolewise.statistics.columns import COLUMNS
from rolewise.study import load_study, run_study
from rolewise.study.keys import stage_keys
from rolewise.tasks import Classification, MultiLabel, Regression

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent.parent / "experiment" / "quick.yaml"
DATA = "data: {name: digit_pairs, validation: 100, test: 200, arguments: {targets: numbers}}"
STUDY = f"""
name: sums
base: {QUICK}
seeds: [0, 1]
best: true
set:
  task: {{name: regression, error: absolute}}
  {DATA}
  teacher.train.epochs: 2
  arms: {{teacher: [none], student: [none], distill: [true]}}
  distill.methods: [{{name: output_match}}]
grid: {{distill.label_weight: [0.1, 1.0]}}
questions:
  - ask: Do labels help?
    of: {{distill.label_weight: 1.0}}
    against: {{distill.label_weight: 0.1}}
    metric: mae
    wanted: lower
"""


def study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    run_study(load_study(study(folder)), folder / "s")
    return folder / "s"


def test_the_table_has_the_metrics_of_the_task(finished: Path):
    with (finished / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert list(rows[0])[-9:] == [
        *("status", "reason", "mae", "rmse", "r2"),
        *("validation_mae", "teacher_mae", "images", "parameters"),
    ]
    assert all(0 < float(row[key]) < 20 for row in rows for key in ("mae", "rmse", "validation_mae", "teacher_mae"))
    assert "accuracy" not in rows[0]


def test_the_page_speaks_of_them(finished: Path):
    data = read_study(finished)
    assert (data.metric.key, data.metrics) == ("mae", ["mae", "rmse", "r2"])
    page = (finished / "report.html").read_text()
    assert "accuracy" not in page
    assert "the mean absolute error at a level is compared" in page
    told = dict(study_sentences(finished))
    best = next(lines for title, lines in told.items() if "best cell" in title)[0]
    cells: dict[str, list[float]] = {}
    for row in data.rows:
        cells.setdefault(f"{row['distill.label_weight']:g}", []).append(row["validation_mae"])
    least = min(cells, key=lambda name: statistics.fmean(cells[name]))
    assert f"label_weight {float(least)}" in best
    assert f"{statistics.fmean(cells[least]):.3f} there; its test mean absolute error, which took no part" in best
    assert any("Do labels help?" in line for line in told["Questions"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "best: true",
            "measure: [accuracy, calibration]",
            "measure.*must be accuracy, which stands for the metrics of",
        ),
        (
            "    metric: mae\n",
            "    metric: accuracy\n",
            "must be a metric of the task .*, which has no accuracy; name one",
        ),
        (
            "grid: {distill.label_weight: [0.1, 1.0]}",
            "grid: {distill.label_weight: [0.1, 1.0], task.error: [absolute, squared]}",
            "must have one first metric in all of its cells, got mae and rmse",
        ),
    ],
)
def test_what_is_of_classes_is_refused(tmp_path: Path, old: str, new: str, message: str):
    assert old in STUDY
    with pytest.raises(InputError, match=message):
        load_study(study(tmp_path, STUDY.replace(old, new)))


def test_a_question_without_a_metric_is_about_the_primary_one(tmp_path: Path):
    made = load_study(study(tmp_path, STUDY.replace("    metric: mae\n", "")))
    assert [one.metric for one in made.questions] == ["mae"]


def test_a_question_wants_what_its_metric_calls_better(tmp_path: Path):
    whole = STUDY.replace("    wanted: lower\n", "")
    again = whole[whole.index("  - ask") :]
    for name in ("    metric: r2\n", "", "    wanted: higher\n"):
        whole += again.replace("    metric: mae\n", name)
    asked = [(one.metric, one.wanted) for one in load_study(study(tmp_path, whole)).questions]
    assert asked == [("mae", "lower"), ("r2", "higher"), ("mae", "lower"), ("mae", "higher")]


def test_columns_are_written_in_the_units_of_the_metrics():
    for info in (*Classification.metrics, *MultiLabel.metrics, *Regression().metrics):
        assert COLUMNS[info.key].percent == (info.unit == "fraction"), info.key


def test_keys_depend_on_the_task_and_its_settings():
    numbers = ["data={name: digit_pairs, validation: 100, test: 200, arguments: {targets: numbers}}"]
    numbers += ["distill.methods=[{name: output_match}]"]
    keys = [
        stage_keys(load(QUICK, [*numbers, f"task={{name: regression, error: {error}}}"]), read=False)
        for error in ("huber", "absolute")
    ]
    assert all(keys[0][name] != keys[1][name] for name in keys[0])
    # What a config without a task says, and what was kept before there were any.
    assert stage_keys(load(QUICK, ["task=classification"]), read=False) == stage_keys(load(QUICK), read=False)
