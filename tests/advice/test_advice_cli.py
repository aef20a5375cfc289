"""`rolewise advise` and `rolewise regret` as a user meets them, on digits and a run of a few seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rolewise.advice import case_advice
from rolewise.advice.experiment_advice import advise_experiment, find_teacher
from rolewise.advice.regret_report import proposed, read_table
from rolewise.config.study_file import load_study_config
from rolewise.data import SealedTest
from rolewise.errors import InputError
from rolewise.experiment import load, run

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent.parent / "experiment" / "quick.yaml"
SETS = (
    "seeds=[0]",
    "teacher.images=900",
    "teacher.train.epochs=10",
    "students[0].train.epochs=110",
    "arms.teacher=[none]",
    "arms.student=[none]",
)
EFFORT = ("--images", "150")


@pytest.fixture
def rolewise(rolewise: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """As elsewhere, with what is printed in one line: a terminal of 80 columns breaks sentences."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code, text, error = rolewise(*arguments)
        return code, " ".join(text.split()), error

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose teacher alone is finished."""
    root = tmp_path_factory.mktemp("advice") / "run"
    run(load(QUICK, SETS), root, only=lambda stage: stage.kind == "teacher")
    return root


WEIGHTS = "stages/seed0/teacher-none/weights.safetensors"


def test_advice_of_a_run_is_written_and_its_config_is_valid(rolewise, trained: Path, tmp_path: Path, monkeypatch):
    def refuse(self: SealedTest, reason: str) -> None:
        raise AssertionError(f"the test set was opened: {reason}")

    monkeypatch.setattr(SealedTest, "open", refuse)
    out = tmp_path / "deep" / "advice"
    code, text, error = rolewise(
        "advise", trained / "config.yaml", "--run", trained, "seed0/teacher-none", "--out", out, *EFFORT
    )
    assert code == 0, text + error
    assert "Advice for small" in text and "No fault was found" in text and "confidence" in text
    found = json.loads((out / "advice.json").read_text())
    assert found["faults"] == [] and found["student"] is None
    assert not any("Nobody here knows" in note for note in found["notes"])
    assert (out / "advice.md").read_text().startswith("# Advice for small")
    code, text, error = rolewise("validate", out / "advice.yaml")
    assert code == 0 and "is valid" in text, error
    config = load(out / "advice.yaml")
    assert config.distill.label_weight == found["overlay"]["distill"]["label_weight"]
    assert config.arms.student[0] == "none" and config.arms.teacher == ("none",) and config.teacher.weights is None
    # What the advice says nothing of stays.
    base = load(trained / "config.yaml")
    assert config.students[0].train == base.students[0].train and config.data == base.data


def test_a_file_of_weights_serves_and_a_fault_exits_with_three_where_that_is_asked(rolewise, trained, tmp_path):
    out = tmp_path / "advice.yaml"
    wrong = ("--set", "teacher.model.mean=[0]", "--set", "teacher.model.std=[0.02]", "--set", "data.validation=200")
    arguments = ("advise", QUICK, "--teacher", trained / WEIGHTS, "--out", out, *EFFORT, *wrong)
    code, text, _ = rolewise(*arguments)
    assert code == 0 and "normalisation: " in text and "Nobody here knows" in text
    code, _, error = rolewise(*arguments, "--check")
    assert code == 2 and "which proposes no config" in error
    config = load(out)
    assert config.teacher.model.mean is not None and config.teacher.model.std != (0.02,)
    assert config.teacher.weights == str(trained / WEIGHTS) and config.arms.teacher == ("none",)
    # What the advice corrects is not asked for again: it would bring the fault back. What else was set is.
    assert "--set 'teacher.model.mean" not in out.read_text() and "--set 'data.validation=200'" in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["advice.yaml"]


def test_a_check_is_the_diagnosis_alone_and_exits_with_three_where_there_is_a_fault(
    rolewise, trained: Path, tmp_path: Path, monkeypatch
):
    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("more than the teacher's faults was measured")

    monkeypatch.setattr(case_advice, "network_measures", refuse)
    monkeypatch.setattr(case_advice, "deviations", refuse)
    arguments = ("advise", QUICK, "--teacher", trained / WEIGHTS, *EFFORT, "--check")
    code, text, error = rolewise(*arguments, "--out", tmp_path / "sound")
    assert code == 0 and "No fault was found" in text and "leave --check out" in text, text + error
    wrong = ("--set", "teacher.model.mean=[0]", "--set", "teacher.model.std=[0.02]")
    code, text, _ = rolewise(*arguments, "--out", tmp_path / "faulty", *wrong)
    assert code == 3 and "normalisation: " in text
    assert [path.name for path in sorted((tmp_path / "faulty").iterdir())] == ["advice.json", "advice.md"]
    assert json.loads((tmp_path / "faulty" / "advice.json").read_text())["faults"][0]["name"] == "normalisation"


def test_a_fault_is_shown_before_anything_else_is_measured(rolewise, trained: Path, tmp_path: Path, monkeypatch):
    def broken(*given: object, **more: object) -> None:
        raise InputError("what follows the diagnosis failed")

    monkeypatch.setattr(case_advice, "network_measures", broken)
    wrong = ("--set", "teacher.model.mean=[0]", "--set", "teacher.model.std=[0.02]")
    code, text, error = rolewise(
        "advise", QUICK, "--teacher", trained / WEIGHTS, "--out", tmp_path / "a", *EFFORT, *wrong
    )
    assert code == 2 and "what follows the diagnosis failed" in error and "normalisation: " in text


def test_advice_is_not_written_over_what_it_is_made_from(rolewise, trained: Path, tmp_path: Path):
    below, config = tmp_path / "below.yaml", tmp_path / "advice.yaml"
    below.write_text((trained / "config.yaml").read_text())
    config.write_text("extends: below.yaml\n")
    kept = (below.read_text(), config.read_text())
    for out in (config, below, tmp_path):
        code, _, error = rolewise("advise", config, "--teacher", trained / WEIGHTS, "--out", out, *EFFORT)
        assert code == 2 and "--out must not be a file that the config is read from" in error
    assert (below.read_text(), config.read_text()) == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["advice.yaml", "below.yaml"]


def test_where_nothing_is_proposed_no_earlier_proposal_stays(rolewise, trained: Path, tmp_path: Path):
    weights = load_file(trained / WEIGHTS)
    order = torch.tensor([1, 0, 2, 3, 4, 5, 6, 7, 9, 8])
    for name in ("fc.weight", "fc.bias"):
        weights[name] = weights[name][order].contiguous()
    save_file(weights, tmp_path / "reordered.safetensors")
    out = tmp_path / "advice"
    assert rolewise("advise", QUICK, "--teacher", trained / WEIGHTS, "--out", out, *EFFORT)[0] == 0
    assert (out / "advice.yaml").is_file()
    arguments = ("advise", QUICK, "--out", out, "--images", "300")
    code, text, error = rolewise(*arguments, "--teacher", tmp_path / "reordered.safetensors")
    assert code == 0 and "class_order: " in text and "Nothing is proposed" in text, text + error
    assert "the proposal is a starting point" not in text and not (out / "advice.yaml").exists()
    # The remedy that it names holds.
    assert "teacher.label_map" in text
    given = (
        f"teacher.weights={tmp_path / 'reordered.safetensors'}",
        f"teacher.label_map={{classes: 10, to: {order.tolist()}}}",
    )
    sets = [one for setting in (*given, "arms.teacher=[none]") for one in ("--set", setting)]
    code, text, error = rolewise(*arguments, *sets)
    assert code == 0 and "No fault was found" in text, text + error


def test_a_finished_student_of_the_run_is_compared_with(trained: Path, tmp_path: Path):
    config = load(trained / "config.yaml")
    run(config, trained, only=lambda stage: stage.kind == "arm" and not stage.distilled)
    found = advise_experiment(config, find_teacher(config, None, (trained, "seed0/teacher-none")))
    assert found.student is not None and [one.name for one in found.sanity.rivals][-1] == "the student"
    assert found.faults == () and found.student["accuracy"] < found.teacher["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "rolewise train CONFIG --out RUN"),
        (("--teacher", "missing.safetensors"), "cannot be read"),
        (("--run", "RUN", "seed0/teacher-own"), "no stage is called"),
        (("--run", "RUN", "teacher-none"), 'did you mean "seed0/teacher-none"?'),
        (("--run", "RUN", "teacher-non"), '"seed0/teacher-none"'),
        (("--run", "nowhere", "seed0/teacher-none"), "is no run folder"),
        (("--run", "RUN", "seed0/teacher-none", "--set", "teacher.model.arguments.widths=[8, 8]"), "same teacher's"),
        (("--run", "RUN", "seed0/teacher-none", "--teacher", "x"), "got both"),
        (("--run", "RUN", "seed0/teacher-none", "--student", "smal"), 'did you mean "small"'),
        (("--run", "RUN", "seed0/small-none+distill"), "is not finished"),
        (("--run", "RUN", "seed0/teacher-none", "--out", "a.txt"), "--out must be"),
        (("--run", "RUN", "seed0/teacher-none", "--images", "1"), "images must be at least 2"),
    ],
)
def test_what_is_wrong_is_named(rolewise, trained: Path, tmp_path: Path, monkeypatch, arguments, part: str):
    monkeypatch.chdir(tmp_path)
    given = [str(trained) if one == "RUN" else one for one in arguments]
    code, text, error = rolewise("advise", trained / "config.yaml", "--out", tmp_path / "out", *given)
    assert code == 2 and part in error + text and "Traceback" not in error
    assert not (tmp_path / "out").exists()


HEAD = (
    "part,cell,distill.methods.0.temperature,size,seed,student,arm,distilled,status,reason,accuracy,validation_accuracy"
)
TABLE = """grid,grid-000,1,large,0,small,none+distill,true,done,,0.80,0.82
grid,grid-000,1,large,1,small,none+distill,true,done,,0.82,0.84
grid,grid-001,4,large,0,small,none+distill,true,done,,0.90,0.91
grid,grid-001,4,large,1,small,none+distill,true,done,,0.94,0.93
grid,grid-002,4,small,0,small,none+distill,true,done,,0.70,0.71
grid,grid-002,4,small,1,small,none+distill,true,failed,,,
"""


def test_text_that_is_quoted_in_a_table_is_text(tmp_path: Path):
    head, first, *_ = f"{HEAD}\n{TABLE}".splitlines()
    quoted = first.replace("grid-000,1,large", "'-1,-1,'=4")
    (tmp_path / "results.csv").write_text(f"{head}\n{quoted}\n")
    [row], _ = read_table(tmp_path)
    assert (row["cell"], row["size"], row["distill.methods.0.temperature"]) == ("-1", "=4", -1)


def test_regret_of_a_proposal(rolewise, tmp_path: Path):
    (tmp_path / "results.csv").write_text(f"{HEAD}\n{TABLE}")
    rows, axes = read_table(tmp_path)
    assert axes == ["distill.methods.0.temperature", "size"] and rows[0]["accuracy"] == 0.8
    assert proposed(load(QUICK), axes) == {"distill.methods.0.temperature": 4.0}
    advice = tmp_path / "advice.yaml"
    advice.write_text(f"extends: {QUICK}\ndistill: {{methods: [{{name: kd, temperature: 1.0}}]}}\n")
    for table in (tmp_path, tmp_path / "results.csv"):
        code, text, error = rolewise("regret", table, "--advice", advice, "--at", "size=large")
        # 10 and 12 points; t = 12.7 with one degree of freedom.
        assert code == 0 and "is 11.0 points (95% interval -1.7 to +23.7) below the best of 2 cells" in text, error
    for arguments, part in (
        ((), "name which of large, small holds"),
        (("--at", "size"), "axis=level"),
        (("--at", "size=large", "--arm", "own"), "known: none+distill"),
        (("--at", "size=small"), "finished for every seed"),
        (("--at", "size=large", "--metric", "loss"), "higher is better"),
        (("--at", "size=large", "--metric", "ece"), "higher is better"),
        (("--at", "size=large", "--metric", "acuracy"), 'did you mean "accuracy"'),
    ):
        code, _, error = rolewise("regret", tmp_path, "--advice", advice, *arguments)
        assert code == 2 and part in error
    (tmp_path / "results.csv").write_text(f"{HEAD}\n{TABLE}grid,grid-003\n")
    assert "results.csv:8 must have 12 cells, got 2" in rolewise("regret", tmp_path, "--advice", advice)[2]
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "run.json").write_text("{}")
    assert "got the run" in rolewise("regret", run_folder, "--advice", advice)[2]
    assert "must be a study's results.csv" in rolewise("regret", advice, "--advice", advice)[2]
    error = rolewise("regret", tmp_path, "--advice", advice.with_suffix(".json"))[2]
    assert "--advice must be the proposed config, got " in error and "give the advice.yaml of the same" in error


def test_the_regret_is_of_the_studys_own_metric_and_direction(rolewise, tmp_path: Path):
    # Errors: what was the best accuracy is now the worst cell.
    (tmp_path / "results.csv").write_text(f"{HEAD}\n{TABLE}".replace("accuracy", "rmse"))
    info = {"key": "rmse", "title": "root mean squared error", "unit": "km", "higher_is_better": False}
    (tmp_path / "study.json").write_text(json.dumps({"version": 1, "metrics": [info]}))
    advice = tmp_path / "advice.yaml"
    advice.write_text(f"extends: {QUICK}\ndistill: {{methods: [{{name: kd, temperature: 4.0}}]}}\n")
    code, text, error = rolewise("regret", tmp_path, "--advice", advice, "--at", "size=large")
    assert code == 0 and "is 0.110 km (95% interval -0.017 to +0.237) above the best of 2 cells in rmse" in text, error


NAMED = """name: named
base: {base}
seeds: [0, 1]
grid:
  mixing:
    clean: {{}}
    half: {{students.0.mix: {{method: mixup, share: 0.5}}}}
    all: {{students.0.mix: {{method: mixup}}}}
  softening:
    kd: {{distill: {{methods: [{{name: kd, temperature: 4.0}}], label_weight: 0.1}}}}
    standardised:
      distill: {{methods: [{{name: logit_standardisation, temperature: 2, weight: 9}}], label_weight: 0.1}}
"""


def test_a_proposal_is_placed_in_a_grid_of_named_levels(rolewise, tmp_path: Path):
    study = tmp_path / "study.yaml"
    study.write_text(NAMED.format(base=QUICK))
    rows = [
        f"grid,{cell.name},{cell.levels['mixing']},{cell.levels['softening']},{seed},{student},{arm},"
        f"{str(arm != 'none').lower()},done,,{0.5 + at / 20 + seed / 100},{0.5 + at / 20}"
        for at, cell in enumerate(load_study_config(study).cells)
        for seed in (0, 1)
        for student in ("small", "other")
        for arm in ("none", "none+distill")
    ]
    head = "part,cell,mixing,softening,seed,student,arm,distilled,status,reason,accuracy,validation_accuracy"
    (tmp_path / "results.csv").write_text("\n".join([head, *rows]) + "\n")
    advice = tmp_path / "advice.yaml"

    def said(mix: str, methods: str, *arguments: object) -> str:
        students = f"students: [{{name: small, model: {{name: small_cnn}}, images: 100, mix: {mix}}}]"
        advice.write_text(f"extends: {QUICK}\n{students}\ndistill: {{methods: [{methods}]}}\n")
        code, text, error = rolewise("regret", tmp_path, "--advice", advice, *arguments)
        assert code == 0, text + error
        return " ".join(text.split())

    text = said("{method: mixup, share: 0.5}", "{name: kd, temperature: 4.0, weight: 0.9}")
    # The third of six cells, each .05 better than the one before.
    assert text.startswith("grid-002 (mixing half, softening kd; ") and "is 15.0 points" in text
    text = said("{method: none}", "{name: logit_standardisation, temperature: 2, weight: 9}")
    assert text.startswith("grid-001 (mixing clean, softening standardised; the proposal itself) is 20.0 points"), text
    text = said("{method: mixup, share: 0.8}", "{name: kd, temperature: 1.0}", "--at", "softening=standardised")
    assert text.startswith("grid-005 (mixing all, softening standardised; the proposal's nearest, at distance"), text
    assert said("{method: none}", "{name: kd}", "--at", "student=other", "--arm", "none")


@pytest.mark.parametrize("command", ["advise", "regret"])
def test_the_commands_have_help_with_an_example(rolewise, command: str):
    code, text, _ = rolewise(command, "--help")
    assert code == 0 and f"Example: rolewise {command}" in text
