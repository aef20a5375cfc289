"""Studies end to end: the table, what is shared, resume, failures, the command line."""

from __future__ import annotations

import csv
import json
import multiprocessing
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from command_lives import is_killed
from pyarrow import parquet

from rolewise.config import ConfigError
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.experiment import run
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.run_folder import RunFolder, held
from rolewise.study import load_study, run_study
from rolewise.study.dry_study import dry_study
from rolewise.study.job_execution import JobEvent
from rolewise.study.study_folder import open_study

pytestmark = pytest.mark.usefixtures("figures_unrendered")

HERE = Path(__file__).parent.parent / "experiment"
STUDY = HERE / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "quick"
    run_study(load_study(STUDY), folder, isolate=False)
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results_of(folder: Path) -> bytes:
    return (folder / "results.csv").read_bytes()


def small(tmp_path: Path, text: str, *overrides: str):
    """A study of one seed with the settings of study.yaml and a grid of its own."""
    path = tmp_path / "s.yaml"
    head = STUDY.read_text().partition("grid:")[0].replace("quick.yaml", str(HERE / "quick.yaml"))
    path.write_text(head.replace("seeds: [0, 1]", "seeds: [0]") + text)
    return load_study(path, overrides)


def test_the_table_has_a_row_for_each_cell_seed_and_arm(finished: Path) -> None:
    rows = table(finished)
    assert len(rows) == 6 * 2 and {row["status"] for row in rows} == {"done"} and not any(row["reason"] for row in rows)
    assert [row["cell"] for row in rows][:4] == ["grid-000", "grid-000", "grid-001", "grid-001"]
    assert [row["seed"] for row in rows] == ["0", "1"] * 6
    assert [row["distill.methods.0.temperature"] for row in rows] == ["1"] * 4 + ["4"] * 4 + ["16"] * 4
    assert [row["size"] for row in rows] == ["small", "small", "large", "large"] * 3
    for row in rows:
        assert 0 <= float(row["accuracy"]) <= 1 and float(row["loss"]) > 0 and row["images"] == "200"
        assert (row["student"], row["arm"], row["distilled"]) == ("small", "none+distill", "true")
    assert len({row["teacher_accuracy"] for row in rows}) == 2
    assert len({row["parameters"] for row in rows if row["size"] == "large"}) == 1
    assert len({row["loss"] for row in rows}) == 12
    assert not list(finished.rglob("*.tmp")) and not list(finished.glob("store/*/checkpoints"))


def test_a_cell_gives_the_numbers_of_a_run(finished: Path, tmp_path: Path) -> None:
    study = load_study(STUDY)
    for cell in (study.cells[1], study.cells[4]):
        results = run(cell.config, tmp_path / cell.name)
        mine = [row for row in table(finished) if row["cell"] == cell.name]
        arm, teacher = results["arms"][0], results["teachers"][0]
        assert [float(row["accuracy"]) for row in mine] == [arm["metrics"]["accuracy"][seed] for seed in "01"]
        assert [float(row["loss"]) for row in mine] == [arm["metrics"]["loss"][seed] for seed in "01"]
        assert [float(row["teacher_accuracy"]) for row in mine] == [
            teacher["metrics"]["accuracy"][seed] for seed in "01"
        ]
        assert {int(row["parameters"]) for row in mine} == {arm["parameters"]}
        folder = finished / "cells" / cell.name / "stages/seed1/small-none+distill"
        weights = tmp_path / cell.name / "stages/seed1/small-none+distill/weights.safetensors"
        assert (folder / "weights.safetensors").read_bytes() == weights.read_bytes()


def test_each_teacher_is_trained_once_and_every_cell_is_a_run_folder(finished: Path) -> None:
    kinds = [json.loads(path.read_text()).get("kind") for path in finished.glob("store/*/done.json")]
    # Six students and one teacher for each seed, and as many networks measured.
    assert kinds.count("teacher") == 2 and kinds.count("arm") == 12 and kinds.count(None) == 14
    teachers = {path.resolve() for path in finished.glob("cells/*/stages/seed0/teacher-none")}
    assert len(teachers) == 1 and len(list(finished.glob("cells/*"))) == 6
    metrics = evaluate_stage(finished / "cells" / "grid-003", "seed1/small-none+distill")
    assert metrics.accuracy == float(table(finished)[7]["validation_accuracy"])


def test_parquet_holds_the_same_table_and_the_seconds(finished: Path) -> None:
    columns = parquet.read_table(finished / "results.parquet").to_pydict()
    rows = table(finished)
    assert [*rows[0], "seconds"] == list(columns)
    assert columns["accuracy"] == [float(row["accuracy"]) for row in rows]
    assert columns["seed"] == [0, 1] * 6 and columns["distilled"] == [True] * 12
    assert columns["distill.methods.0.temperature"][:5] == [1, 1, 1, 1, 4]
    assert all(seconds > 0 for seconds in columns["seconds"])


def test_a_finished_study_is_not_run_again(finished: Path) -> None:
    seen: list[JobEvent] = []
    before = results_of(finished)
    result = run_study(load_study(STUDY, ["workers=7"]), finished, on_event=seen.append)
    assert seen == [] and results_of(finished) == before and len(result.rows) == 12 and not result.failed


def test_another_study_is_refused_the_difference_shown_and_extended_where_that_is_asked_for(
    finished: Path, tmp_path: Path
) -> None:
    first = small(tmp_path, "grid: {distill.label_weight: [0.1, 0.5]}")
    run_study(first, tmp_path / "r", isolate=False)
    before = table(tmp_path / "r")
    other = small(tmp_path, "grid: {distill.label_weight: [0.1, 0.5, 0.9]}")
    with pytest.raises(InputError) as caught:
        run_study(other, tmp_path / "r", isolate=False)
    assert "grid.distill.label_weight[2]: (not there) -> 0.9" in str(caught.value) and "--extend" in str(caught.value)
    seen: list[JobEvent] = []
    run_study(other, tmp_path / "r", isolate=False, extend=True, on_event=seen.append)
    assert [event.job.cell for event in seen if event.update.kind == "done"] == ["grid-002"] * 2
    assert table(tmp_path / "r")[:2] == before and len(table(tmp_path / "r")) == 3
    run_study(first, tmp_path / "r", isolate=False, fresh=True)
    assert table(tmp_path / "r") == before and (tmp_path / "r.old-1" / "study.json").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="has other files"):
        run_study(first, tmp_path / "mine")


def test_a_study_at_work_is_neither_moved_aside_nor_bound_to_another(tmp_path: Path, finished: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(finished, folder, symlinks=True)
    other = small(tmp_path, "grid: {distill.label_weight: [0.1]}")
    before = {name: (folder / name).read_bytes() for name in ("study.json", "study.yaml")}
    with held(RunFolder(folder)):
        for how in ({"fresh": True}, {"extend": True}):
            with pytest.raises(RunError, match=r"in use by process \d+ on .* since .*; wait for it"):
                open_study(folder, other, **how)
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert not (tmp_path / "r.old-1").exists()


def test_a_study_in_which_nothing_has_begun_takes_the_corrected_file(tmp_path: Path) -> None:
    open_study(tmp_path / "r", small(tmp_path, "grid: {distill.label_weight: [0.1]}"))
    other = small(tmp_path, "grid: {distill.label_weight: [0.2]}")
    folder = open_study(tmp_path / "r", other)
    assert "0.2" in (folder.root / "study.yaml").read_text()
    folder.fail("some-key", "its loss is not finite")
    with pytest.raises(InputError, match="was made by another study"):
        open_study(tmp_path / "r", small(tmp_path, "grid: {distill.label_weight: [0.3]}"))


def test_the_test_set_stays_sealed_until_every_training_has_ended(tmp_path: Path, finished: Path) -> None:
    partial: list[list[dict[str, str]]] = []

    def stop(event: JobEvent) -> None:
        if event.update.kind == "done":
            partial.append(table(tmp_path / "r"))
        if len(partial) == 9:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run_study(load_study(STUDY), tmp_path / "r", isolate=False, on_event=stop)
    states = [row["status"] for row in table(tmp_path / "r")]
    assert "trained" in states and "waiting" in states and "done" not in states
    for row in table(tmp_path / "r"):
        assert not row["accuracy"] and bool(row["validation_accuracy"]) == (row["status"] == "trained")
    # The table has grown cell by cell.
    assert sorted({sum(row["status"] == "trained" for row in rows) for rows in partial}) == [0, 2, 4, 6]
    assert not list((tmp_path / "r").glob("report.html"))
    run_study(load_study(STUDY), tmp_path / "r", isolate=False)
    assert results_of(tmp_path / "r") == results_of(finished)


@pytest.mark.slow
def test_what_fails_is_named_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    study = small(
        tmp_path,
        "grid:\n  model:\n"
        "    sound: {}\n"
        "    killed: {students.0.model: {name: 'study_toys:killed'}}\n"
        "    memory: {students.0.model: {name: 'study_toys:without_memory'}}\n"
        "    wild: {students.0.train.optimizer: {name: sgd, learning_rate: 1000, weight_decay: 1000}}\n"
        "    teacherless: {teacher.train.optimizer: {name: sgd, learning_rate: 1000, weight_decay: 1000}}\n",
        "workers=2",
    )
    result = run_study(study, tmp_path / "r")
    rows = {row["model"]: row for row in table(tmp_path / "r")}
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys(("killed", "memory", "wild", "teacherless"), "failed"),
        "sound": "done",
    }
    assert rows["killed"]["reason"] == (
        "its work was lost 3 times, the last time because its worker process ended by signal 9 (was memory short?)"
    )
    assert (
        rows["memory"]["reason"] == "MemoryError"
        and "a weight or a statistic of the networks became" in rows["wild"]["reason"]
    )
    assert rows["teacherless"]["reason"].startswith("its teacher failed: a weight or a statistic of")
    assert [row["cell"] for row in result.failed] == ["grid-001", "grid-002", "grid-003", "grid-004"]
    assert not any(rows[name]["accuracy"] for name in rows if name != "sound")
    page = (tmp_path / "r" / "report.html").read_text()
    assert "4 of 5 rows failed" in page and "was memory short?" in page
    # A failure is kept: the same command gives the same table, and tries nothing again.
    seen: list[JobEvent] = []
    before = results_of(tmp_path / "r")
    run_study(study, tmp_path / "r", isolate=False, on_event=seen.append)
    assert not seen and results_of(tmp_path / "r") == before
    # In this process, where the network does not end it, it can be trained.
    result = run_study(study, tmp_path / "r", isolate=False, retry=True)
    assert [row["model"] for row in result.failed] == ["wild", "teacherless"]


@pytest.mark.slow
def test_workers_and_their_deaths_change_no_byte(tmp_path: Path, finished: Path) -> None:
    seen: list[JobEvent] = []

    def kill(event: JobEvent) -> None:
        seen.append(event)
        kinds = [one.update.kind for one in seen]
        # Once in a training and, after the last of 14, once in a measurement.
        if (event.update.kind == "moves" and kinds.count("moves") == 1) or (
            event.update.kind == "done" and kinds.count("done") == 15
        ):
            for child in multiprocessing.active_children():
                child.kill()

    result = run_study(load_study(STUDY, ["workers=2"]), tmp_path / "r", on_event=kill)
    lost = [event for event in seen if event.update.kind == "lost"]
    assert any(event.job.measure for event in lost) and any(not event.job.measure for event in lost)
    assert "resumes from its last checkpoint" in lost[0].update.text and not result.failed
    assert results_of(tmp_path / "r") == results_of(finished)


def test_measurements_come_as_columns_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    text = "grid: {distill.label_weight: [0.1]}\nbest: true\nmeasure: "
    run_study(small(tmp_path, text + "['study_toys:spread']"), tmp_path / "r", isolate=False)
    (row,) = table(tmp_path / "r")
    assert float(row["images_seen"]) == 300 and float(row["gradient"]) > 0 and float(row["accuracy"]) > 0
    assert "gradient" in (tmp_path / "r" / "report.html").read_text()
    # Another measurement in the same folder trains nothing again.
    for name, part in (
        ("nothing", "gave nothing = nan"),
        ("taken", "which is taken"),
    ):
        seen: list[JobEvent] = []
        study = small(tmp_path, f"{text}['study_toys:{name}']")
        result = run_study(study, tmp_path / "r", isolate=False, extend=True, on_event=seen.append)
        assert len(result.failed) == 1 and part in result.failed[0]["reason"]
        assert all(event.job.measure for event in seen)
    with pytest.raises(ConfigError, match=r"measure\[0\]: .*study_toys.* has no 'absent'"):
        small(tmp_path, text + "['study_toys:absent']")


def test_a_full_disk_ends_the_study_and_blames_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    study = small(tmp_path, "grid: {distill.label_weight: [0.1]}")
    with monkeypatch.context() as patched:
        patched.setattr("rolewise.train.loop.save_weights", full)
        with pytest.raises(RunError, match="No space left on device; the study is kept"):
            run_study(study, tmp_path / "r", isolate=False)
    assert not run_study(study, tmp_path / "r", isolate=False).failed


def test_the_command_line(rolewise, tmp_path: Path) -> None:
    out = tmp_path / "r"
    wild = "{students.0.train.optimizer: {name: sgd, learning_rate: 1000, weight_decay: 1000}}"
    small(tmp_path, f"grid: {{rate: {{mild: {{}}, wild: {wild}}}}}")
    config = str(tmp_path / "s.yaml")
    code, text, _ = rolewise("validate", config)
    assert code == 0 and "2 cells, 1 seed, 3 stages to train (1 more is shared between cells)" in text
    plan = dry_study(load_study(config, ["measure=[accuracy, calibration]"]))
    assert plan.uncounted == ("calibration",) and not dry_study(load_study(config)).uncounted
    code, text, fault = rolewise("study", config, "--out", str(out), "--set", "seeds=[0, 1]")
    assert code == 1 and "2 of 4 rows failed" in fault and "--retry" in fault
    assert "2 cells, 4 rows; 6 stages to train (0 done; 2 more are shared between cells)" in text
    assert "2 of 2 cells, 0 stages left, 2 failed" in text
    # What failed is not waited for: of 6 networks, 2 students have nothing to measure.
    assert "4 of 4 networks measured; the page is being written" in text
    assert "failed: grid-001 seed0/small-none+distill" in text
    assert "cannot be judged" in text or "nothing to compare" in text
    (out / "report.html").unlink()
    assert rolewise("report", str(out))[0] == 0 and (out / "report.html").is_file()
    code, _, fault = rolewise("run", config, "--out", str(tmp_path / "x"))
    assert code == 2 and f"run it by: rolewise study {config}" in fault
    code, _, fault = rolewise("study", str(HERE / "quick.yaml"), "--out", str(tmp_path / "x"))
    assert code == 2 and "must be a study, and is an experiment" in fault and not (tmp_path / "x").exists()
    (tmp_path / "bad.yaml").write_text(f"name: s\nbase: {HERE / 'quick.yaml'}\ngrid: {{search.members: [1]}}")
    code, _, fault = rolewise("study", str(tmp_path / "bad.yaml"), "--out", str(out))
    assert code == 2 and "search.members: must be at least 2, got 1" in fault and "nothing was started" in fault


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_any_moment_it_ends_with_the_same_table(tmp_path: Path) -> None:
    rng = random.Random(0)
    smaller = ["seeds=[0]", "grid={distill.label_weight: [0.1, 0.5]}"]
    run_study(load_study(STUDY, smaller), tmp_path / "undisturbed", isolate=False)
    command = [sys.executable, "-u", "-m", "rolewise", "study", str(STUDY), "--out", str(tmp_path / "r")]
    command += [part for setting in smaller for part in ("--set", setting)]
    # Of three trainings and as many measurements, by what is done and not by the clock, so that a busy machine gets on
    # too: before any work, by one process; with workers up, between trainings and between measurements, or in them.
    lives = [(1, 0), (2, 1), (2, 4)]
    whole = 0
    while lives or not whole:
        workers, wanted = lives[0] if lives else (1, 100)
        life = [*command, "--set", f"workers={workers}"]
        if is_killed(
            life, "stages to train", lambda n=wanted: len(list(tmp_path.glob("r/store/*/done.json"))) >= n, rng
        ):
            del lives[0]
            continue
        assert results_of(tmp_path / "r") == results_of(tmp_path / "undisturbed")
        (tmp_path / "r").rename(tmp_path / f"done-{whole}")
        whole += 1
