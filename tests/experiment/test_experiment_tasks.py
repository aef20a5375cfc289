"""Whole experiments whose targets are no classes, and what is refused of them."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from rolewise import cli
from rolewise.config import ConfigError
from rolewise.data import read
from rolewise.deploy import predict_pictures
from rolewise.deploy.export import export_stage
from rolewise.deploy.file_facts import kind_of_task
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.experiment.evaluation import evaluate_stage, finished_training
from rolewise.experiment.own_code import own_code
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stages import trained_network
from rolewise.inputs import prepare
from rolewise.report.summary import summary
from rolewise.statistics import run_answers
from rolewise.statistics.answer_sentences import answer_sentences
from rolewise.tasks import MultiLabel

QUICK = Path(__file__).parent / "quick.yaml"
PAIRS = ["data={name: digit_pairs, validation: 100, test: 200}", "arms.student=[none, own]", "seeds=[0, 1]"]
LABELS = ["task=multi_label", "name=labels", *PAIRS]
NUMBERS = [
    "task={name: regression, error: absolute}",
    "name=numbers",
    "data={name: digit_pairs, validation: 100, test: 200, arguments: {targets: numbers}}",
    "arms.student=[none, own]",
    "distill.methods=[{name: output_match, weight: 0.9}]",
]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "labels"
    run(load(QUICK, LABELS), folder)
    return folder


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "numbers"
    run(load(QUICK, NUMBERS), folder)
    return folder


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A run of one seed and one augmentation, of the settings that a test is parametrised with."""
    run(load(QUICK, [*request.param, "seeds=[0]", "arms.teacher=[none]", "arms.student=[none]"]), tmp_path / "small")
    return tmp_path / "small"


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def shown(folder: Path) -> str:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(summary(folder))
    return " ".join(captured.get().split())


@pytest.mark.slow
def test_results_are_by_the_metrics_of_the_task(labels: Path, numbers: Path):
    found = results(labels)
    assert (found["version"], found["task"], found["primary"]) == (2, "multi_label", "mean_average_precision")
    assert [info["key"] for info in found["metrics"]][:2] == ["mean_average_precision", "f1_micro"]
    for entry in (*found["arms"], *found["teachers"]):
        assert all(0 < value <= 1 for value in entry["metrics"]["mean_average_precision"].values())
        assert set(entry["metrics"]["f1_macro"]) == set(entry["sampling_error"]) == {"0", "1"}
        assert all(0 < error < 0.2 for error in entry["sampling_error"].values())
    found = results(numbers)
    assert (found["task"], found["primary"]) == ("regression", "mae")
    assert all(0 < value < 20 for arm in found["arms"] for value in arm["metrics"]["mae"].values())


@pytest.mark.slow
def test_arms_are_compared_within_each_seed_too(labels: Path, numbers: Path):
    for folder, key in ((labels, "mean_average_precision"), (numbers, "mae")):
        arms = {(arm["student"], arm["name"]): arm for arm in results(folder)["arms"]}
        for (student, name), arm in arms.items():
            control = arms[student, arm["control"]]
            assert ("within_seeds" in arm) == (name != arm["control"])
            for seed, one in arm.get("within_seeds", {}).items():
                assert one["mean"] == pytest.approx(arm["metrics"][key][seed] - control["metrics"][key][seed])
                assert one["low"] < one["mean"] < one["high"] and 0 < one["p"] <= 1
        assert "Differences within each seed" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_pages_speak_of_the_metric(labels: Path, numbers: Path):
    page = (labels / "report.html").read_text()
    for part in ('<th scope="col">mean average precision, %</th>', "Other metrics", "F1 over all labels, %"):
        assert part in page
    assert "accuracy on the test set" not in page.lower()
    page = (numbers / "report.html").read_text()
    assert "lower is better" in page
    assert "root mean squared error" in page


@pytest.mark.slow
def test_the_terminal_speaks_of_the_metric(labels: Path, numbers: Path):
    text = shown(labels)
    assert all(f"- {line}" in text for answer in run_answers(results(labels)) for line in answer_sentences(answer))
    assert re.search(r"istillation (changes|raised|lowered) mean average precision", text)
    assert "which give a mean average precision of" in text
    text = shown(numbers)
    best = min(sum(arm["metrics"]["mae"].values()) / 2 for arm in results(numbers)["arms"])
    assert f"The lowest mean was {best:.3f}" in text
    # Of no unit of its own; a share of a gap is one in percent.
    plain = re.sub(r"95%|(It closed|It widened|The share of the gap)[^;]*;", "", text)
    assert "%" not in plain and " points" not in plain


@pytest.mark.slow
def test_searches_go_by_the_metric_and_records_name_it(labels: Path, numbers: Path):
    for folder, key, low, high in ((labels, "mean_average_precision", 0, 1), (numbers, "mae", -20, 0)):
        lineage = json.loads((folder / "stages/seed0/small-search/lineage.json").read_text())
        assert all(low < score < high for line in lineage["history"] for score in line)
        # The best member is the one that the metric calls so, whichever its direction.
        last = lineage["history"][-1]
        assert last[lineage["best"]] == max(last)
        records = (folder / "stages/seed0/small-none/record.jsonl").read_text().splitlines()
        assert f"validation_{key}" in json.loads(records[-1])


@pytest.mark.slow
def test_a_network_is_evaluated_by_its_task(numbers: Path):
    metrics = evaluate_stage(numbers, "seed0/small-none")
    done = json.loads((numbers / "stages/seed0/small-none/done.json").read_text())
    assert metrics.values["mae"] == done["validation_mae"]
    assert metrics.examples == 100


def picture_of_pair(path: Path) -> Tensor:
    """Writes an image of the set as a picture; returns it as the network gets it, before its normalisation."""
    image = read("digit_pairs").train.batch(torch.tensor([5]))
    Image.fromarray(image[0, 0].numpy()).save(path)
    return image


def trained_outputs(root: Path, name: str, image: Tensor) -> Tensor:
    """Returns the outputs of a network for an image by the way of an evaluation."""
    found, stage = finished_training(root, name)
    data = seed_data_of(found.config(), stage.seed, torch.device("cpu"), found.root)
    model = section_of(found.config(), stage.role).model
    with torch.no_grad():
        values: Tensor = trained_network(found, data, stage)(prepare(image, data.spec(model)))
    return values


@pytest.mark.slow
def test_labels_and_numbers_are_predicted_for_pictures(
    labels: Path, numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    image = picture_of_pair(tmp_path / "pair.png")

    def call(root: Path, *arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["rolewise", "predict", str(root), str(tmp_path / "pair.png"), *arguments])
        cli.main()
        return capsys.readouterr().out

    (found,) = predict_pictures(labels, [tmp_path / "pair.png"], arm="own+distill")
    known = trained_outputs(labels, "seed0/small-own+distill", image).sigmoid()[0].tolist()
    assert found.values == pytest.approx(known, abs=1e-6)
    text = call(labels)
    assert "how pictures become such is a guess: cropped and scaled to 8 x 16, grey" in text
    shown = [float(line.split()[-1].rstrip("%")) / 100 for line in text.splitlines() if line.endswith("%")]
    assert shown == pytest.approx(sorted((value for value in known if value >= 0.5), reverse=True), abs=1e-4)
    assert sum(line.endswith("%") for line in call(labels, "--top", "7").splitlines()) == 7
    cells = dict(zip(*csv.reader(io.StringIO(call(labels, "--csv", "-"))), strict=True))
    assert [float(cells[str(digit)]) for digit in range(10)] == pytest.approx(known, abs=1e-6)
    (found,) = predict_pictures(numbers, [tmp_path / "pair.png"], arm="none")
    known = trained_outputs(numbers, "seed0/small-none", image)[0].tolist()
    assert found.values == pytest.approx(known, abs=1e-5)
    (entry,) = json.loads(call(numbers, "--json", "--arm", "none"))["pictures"]
    assert entry["predictions"] == [{"number": "sum", "value": pytest.approx(known[0], abs=1e-5)}]
    assert f" {found.values[0]:.6g}\n" in call(numbers, "--arm", "none")


def no_onnx(*arguments: object):
    raise InputError("format onnx needs onnx")


@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize(
    ("small", "output"),
    [pytest.param(LABELS, "probabilities", marks=pytest.mark.slow), (NUMBERS, "logits")],
    ids=["labels", "numbers"],
    indirect=["small"],
)
def test_labels_and_numbers_leave_the_laboratory(small: Path, output: str, tmp_path: Path, monkeypatch):
    # As where ONNX is not installed: a comparison with a float32 file takes longer than all else.
    monkeypatch.setattr("rolewise.deploy.comparison_rows.write_onnx", no_onnx)
    root, path = small, tmp_path / "x.pt2"
    made = export_stage(root, "seed0/small-none", "torch", path, given="uint8", output=output)
    assert made.agreement == 1 and (made.images, made.part) == (200, "test")
    task = results(root)
    arm = next(arm for arm in task["arms"] if arm["name"] == "none")
    assert made.metric.key == task["primary"]
    assert made.score == pytest.approx(arm["metrics"][task["primary"]]["0"], rel=1e-4)
    card = made.card.read_text()
    assert "| labels, in the order of the outputs | 10: 0, 1," in card or "| numbers, in the order" in card
    assert "assumed, since the data were arrays" in card
    picture_of_pair(tmp_path / "pair.png")
    by_run = predict_pictures(root, [tmp_path / "pair.png"], arm="none")[0].values
    assert predict_pictures(path, [tmp_path / "pair.png"])[0].values == pytest.approx(by_run, abs=1e-4)
    if output == "logits":
        with pytest.raises(InputError, match="output must be logits where numbers are predicted"):
            export_stage(root, "seed0/small-none", "torch", path, output="probabilities")


def test_a_task_of_one_s_own_has_no_known_outputs():
    class Mine:
        name = "mine"

    assert kind_of_task(Mine()) is None and kind_of_task(MultiLabel()) == "multi_label"


@pytest.mark.parametrize("name", ["digit_pairs", "digit_sums"])
def test_the_shipped_configs_are_sound(name: str):
    assert load(QUICK.parent.parent.parent / "configs" / f"{name}.yaml").name == name


def test_a_config_of_classes_is_written_as_before_there_were_tasks():
    from rolewise.config import dump

    assert "task" not in dump(load(QUICK))
    assert "task: multi_label" in dump(load(QUICK, LABELS))


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        (["task=multilabel"], "task", "no task is called 'multilabel'; did you mean \"multi_label\"?"),
        (
            ["task={name: regression, eror: huber}"],
            "task.eror",
            'no such setting of "regression"; did you mean "error"?',
        ),
        (["task={error: huber}"], "task", "must be the name of a task"),
        (["task=regression"], "distill.methods[0]", '"kd" must not be a method on logits for the task regression'),
        ([*LABELS, "distill.methods=[{name: dkd}]"], "distill.methods[0]", '"dkd" must compare at least 3 classes'),
        ([*LABELS, "students[0].mix={method: mixup}"], "students[0].mix.method", 'must be "none" for the task multi_'),
        ([*LABELS, "teacher.train.label_smoothing=0.1"], "teacher.train.label_smoothing", "must be 0 for the task"),
        (
            ["task={name: classification, label_smoothing: 0.1}"],
            "task.label_smoothing",
            "must be given to each role, as",
        ),
        ([*LABELS, "arms.student=[screen]"], "arms.student[0]", "the teacher's softened classes"),
        (
            ["task=multi_label"],
            "task",
            "multi_label predicts labels or numbers, and the data have classes; write",
        ),
        ([*PAIRS], "task", "classification predicts classes, and the data have labels; write task: multi_label"),
        (["data={name: digit_pairs}", "task=multi_label"], "data.test", "digit_pairs has no test set of its own"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_line(settings: list[str], where: str, message: str):
    with pytest.raises(ConfigError) as error:
        load(QUICK, settings)
    assert any(where in line and message in line for line in str(error.value).splitlines()), str(error.value)


def test_a_task_of_ones_own_is_trained_in_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "halved_task.py").write_text(
        "from rolewise.tasks import Regression\n\n\nclass Halved(Regression):\n"
        "    def losses(self, outputs, batch, *, reduction='none'):\n"
        "        whole = super().losses(outputs, batch, reduction=reduction)\n"
        "        return {name: loss / 2 for name, loss in whole.items()}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = "task={name: 'halved_task:Halved', error: absolute}"
    arms = ["arms.student=[none]", "arms.distill=[false]", "arms.teacher=[none]"]
    config = load(QUICK, [*NUMBERS, task, "seeds=[0]", *arms])
    run(config, tmp_path / "r")
    assert results(tmp_path / "r")["primary"] == "mae"
    assert [f"{found.kind} {found.path}" for found in own_code(config)] == ["task halved_task:Halved"]
