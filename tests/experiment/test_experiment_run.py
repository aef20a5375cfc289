"""The pipeline end to end: results, resume, what is refused, who saw what."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import random
import re
import signal
import sys
from pathlib import Path

import pytest
import torch
from command_lives import is_killed

from rolewise.errors import InputError, Interrupted, NonFiniteError, RunError
from rolewise.experiment import load, run
from rolewise.experiment.arms import arms_of, control_of, label
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.pipeline import with_needs
from rolewise.experiment.run_folder import existing_run, held, open_run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stages import augmentation_of, find_stage
from rolewise.seals import write_sealed

QUICK = Path(__file__).with_name("quick.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "quick"
    run(load(QUICK), folder)
    return folder


def results_of(folder: Path) -> bytes:
    return (folder / "results.json").read_bytes()


def test_results_hold_every_arm(finished: Path) -> None:
    results = json.loads(results_of(finished))
    assert [arm["name"] for arm in results["arms"]] == [
        *("none+distill", "own+distill", "own_shuffled+distill", "teacher+distill", "trivialaugment+distill"),
        *("none", "own", "own_shuffled", "teacher", "trivialaugment"),
    ]
    for arm in results["arms"]:
        assert set(arm["metrics"]["accuracy"]) == {"0", "1"} and all(
            0 <= x <= 1 for x in arm["metrics"]["accuracy"].values()
        )
        assert arm["distilled"] == ("+distill" in arm["name"]) and arm["student"] == "small"
        assert arm["teacher_augmentation"] == ("own" if arm["distilled"] else None)
        assert arm["student_augmentation"] == arm["name"].removesuffix("+distill") and arm["images"] == 600
    assert results["costs"]["seed0/teacher-search"] == 3 * 4 * 200
    assert results["test_images"] == 300
    assert (finished / "report.html").is_file() and (finished / "timing.json").is_file()
    assert not list(finished.glob("stages/*/*/checkpoints")) and not list(finished.rglob("*.tmp"))


@pytest.mark.slow
def test_worker_processes_and_their_deaths_change_no_byte(finished: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    moments: set[str] = set()

    def kill(update: StageUpdate) -> None:
        seen.append(f"{update.stage} {update.text}")
        # Once in a search and once in a training: both workers.
        moment = update.text[:9]
        if moment in ("interval ", "epoch 3/6") and moment not in moments:
            moments.add(moment)
            for child in multiprocessing.active_children():
                child.kill()

    run(load(QUICK, ["workers=2"]), tmp_path / "r", on_update=kill)
    lost = [text for text in seen if "lost" in text]
    assert len(lost) >= 2 and all(
        "(was memory short?); it begins again from its last checkpoint" in text for text in lost
    )
    assert results_of(tmp_path / "r") == results_of(finished)
    for name in ("seed0/teacher-search/lineage.json", "seed1/small-own+distill/record.jsonl"):
        assert (tmp_path / "r" / "stages" / name).read_bytes() == (finished / "stages" / name).read_bytes()


@pytest.mark.slow
def test_a_stage_that_is_lost_three_times_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(QUICK.parent)
    settings = ["seeds=[0]", "arms.teacher=[standard]", "arms.student=[none]", "arms.distill=[false]", "workers=2"]
    config = load(QUICK, [*settings, "students[0].model={name: 'study_toys:killed'}"])
    seen: list[str] = []
    with pytest.raises(RunError) as caught:
        run(config, tmp_path / "r", on_update=lambda update: seen.append(f"{update.stage} {update.text}"))
    assert str(caught.value) == (
        "seed0/small-none: its work was lost 3 times, the last time because its worker process ended by signal 9 (was "
        "memory short?); the run is kept: run the same command again, with fewer workers if memory is short"
    )
    assert sum(text.startswith("seed0/small-none lost") for text in seen) == 2
    # The teacher beside it was done by then, or was stopped after its next step.
    beside = tmp_path / "r/stages/seed0/teacher-standard"
    assert (beside / "done.json").is_file() or any((beside / "checkpoints").iterdir()), (
        "what else was under way is kept"
    )


def test_a_path_in_place_of_a_config_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for given in ("quick.yaml", tmp_path / "quick.yaml"):
        with pytest.raises(
            InputError, match=r"config must be an ExperimentConfig, got .*quick.yaml.*rolewise.load\(path\)"
        ):
            run(given, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_finished_run_is_not_run_again(finished: Path) -> None:
    seen: list[StageUpdate] = []
    before = results_of(finished)
    run(load(QUICK), finished, on_update=seen.append)
    assert seen == [] and results_of(finished) == before


def test_another_config_is_refused_and_the_difference_shown(finished: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(load(QUICK, ["search.members=4", "workers=2"]), finished)
    assert "search.members: 3 -> 4" in str(caught.value) and "workers" not in str(caught.value)
    assert "--fresh" in str(caught.value)


def test_fresh_moves_the_old_run_aside(tmp_path: Path) -> None:
    folder = open_run(tmp_path / "r", load(QUICK)).root
    again = open_run(tmp_path / "r", load(QUICK, ["search.members=4"]), fresh=True)
    assert again.config().search.members == 4 and (tmp_path / "r.old-1" / "run.json").is_file() and folder == again.root


def test_foreign_folders_and_two_at_a_time_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="has other files"):
        open_run(tmp_path, load(QUICK))
    with pytest.raises(InputError, match="no run folder"):
        existing_run(tmp_path)
    folder = open_run(tmp_path / "r", load(QUICK))
    for _ in range(2):  # the refusal leaves the note of the process that holds the folder as it is
        with held(folder), pytest.raises(RunError) as caught, held(folder):
            pass
        assert re.fullmatch(
            rf"{re.escape(str(folder.root))} is in use by process {os.getpid()} on {re.escape(platform.node())} "
            r"\(.+\) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}; wait for it, or choose another --out",
            str(caught.value),
        )
        with held(folder):
            pass
    with held(folder):
        (folder.root / ".lock").write_text("half a no")
        with pytest.raises(RunError, match="in use by another process; wait"), held(folder):
            pass
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with held(folder), pytest.raises(RunError, match="torchrun started this command 2 times"), held(folder):
        pass
    (folder.stage("seed0/teacher-own")).mkdir(parents=True)
    (folder.stage("seed0/teacher-own") / "record.jsonl").write_text("{}\n")
    known = json.loads((folder.root / "run.json").read_text())
    write_sealed(folder.root / "run.json", {**known, "version": 9})
    with pytest.raises(InputError, match=r"must have version 3, got 9.*--fresh"):
        open_run(tmp_path / "r", load(QUICK))
    write_sealed(folder.root / "run.json", {**known, "version": 2})  # its draws were others
    with pytest.raises(InputError, match=r"must have version 3, got 2.*cannot resume its trainings; start anew"):
        open_run(tmp_path / "r", load(QUICK))
    assert folder.config().name == load(QUICK).name
    (folder.root / "run.json").write_text(json.dumps({**known, "version": 9}))
    with pytest.raises(InputError, match=r"run\.json is damaged.*--fresh"):
        open_run(tmp_path / "r", load(QUICK))
    (folder.root / "run.json").write_text('{"version": 1, "name": "quick", "config": "0"}')
    with pytest.raises(InputError, match=r"made by an earlier version of Rolewise.*--fresh"):
        open_run(tmp_path / "r", load(QUICK))
    assert open_run(tmp_path / "r", load(QUICK), fresh=True).record()["version"] == 3


def test_a_run_that_failed_before_its_first_stage_takes_the_corrected_config(tmp_path: Path) -> None:
    settings = ["seeds=[0]", "arms.teacher=[standard]", "arms.student=[none]", "arms.distill=[false]"]
    away = ["students[0].train.optimizer={name: sgd, learning_rate: 1000, weight_decay: 1000}"]
    wrong = load(QUICK, [*settings, *away, "students[0].train.batch_size=4"])
    with pytest.raises(NonFiniteError):
        run(wrong, tmp_path / "r", only=lambda stage: stage.kind == "arm")
    assert (tmp_path / "r/stages/seed0/small-none/record.jsonl").read_bytes() == b"", "it began, and left no work"
    right = load(QUICK, settings)
    assert run(right, tmp_path / "r") == run(right, tmp_path / "fresh")
    assert (tmp_path / "r/config.yaml").read_bytes() == (tmp_path / "fresh/config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"students.*learning_rate"):
        run(wrong, tmp_path / "r")
    # A stage that has begun, and one that has ended, hold the folder.
    for left in ("stages/seed0/small-none/record.jsonl", "stages/seed0/teacher-search/state/000001/member-000.pt"):
        began = open_run(tmp_path / left.replace("/", "-"), right)
        (began.root / left).parent.mkdir(parents=True)
        (began.root / left).write_text("{}")
        with pytest.raises(InputError, match="was made by another config"):
            open_run(began.root, wrong)


def test_a_folder_at_work_takes_no_other_config(tmp_path: Path) -> None:
    folder = open_run(tmp_path / "r", load(QUICK))
    with held(folder), pytest.raises(RunError, match="in use by process"):
        open_run(tmp_path / "r", load(QUICK, ["search.members=4"]))
    assert folder.config().search.members == 3


def test_nobody_sees_the_validation_images_during_a_search() -> None:
    for retrain in ("false", "true"):
        config = load(QUICK, [f"retrain_on_validation={retrain}", "teacher.images=null"])
        data = seed_data_of(config, 0, torch.device("cpu"))
        unseen = data.final_indices(None, unseen=True)
        assert not torch.isin(data.validation, unseen).any()
        assert not torch.isin(data.test.indices, torch.cat([unseen, data.validation])).any()
        seen = torch.isin(data.validation, data.final_indices(None, unseen=False)).all().item()
        assert seen == (retrain == "true")
        stages = {stage.name: stage for stage in stages_of(config)}
        teacher = stages[stages["seed0/small-search"].teacher]
        assert teacher.unseen == (retrain == "true")
        assert (stages["seed0/small-own+distill"].teacher == teacher.name) == (retrain == "false")


def test_each_seed_divides_anew_and_keeps_the_test_set() -> None:
    config = load(QUICK)
    one, two = (seed_data_of(config, seed, torch.device("cpu")) for seed in (0, 1))
    assert torch.equal(one.test.indices, two.test.indices) and not torch.equal(one.validation, two.validation)


def test_arms_stand_once_and_know_their_control() -> None:
    config = load(QUICK, ["arms.teacher=[own, none]", "arms.student=[none, own, {name: randaugment, strength: 0.3}]"])
    arms = {arm.name: arm for arm in arms_of(config, "small")}
    assert list(arms)[:2] == ["none+distill@own", "none+distill@none"] and "none" in arms and len(arms) == 9
    assert control_of(config, arms["own+distill@none"]) == "none+distill@none"
    assert control_of(config, arms["randaugment-strength-0.3"]) == "none"
    names = [stage.name for stage in stages_of(config)]
    assert len(set(names)) == len(names)
    assert label("runs/some schedule.json") == "some-schedule"
    wanted = with_needs(stages_of(config), lambda stage: stage.name == "seed0/small-search")
    assert [stage.name for stage in wanted] == ["seed0/teacher-search", "seed0/teacher-own", "seed0/small-search"]
    with pytest.raises(InputError, match="no stage"):
        with_needs(stages_of(config), lambda stage: False)


def test_arms_train_under_what_their_names_say(finished: Path) -> None:
    folder = existing_run(finished)
    config = folder.config()
    by = {
        name: augmentation_of(folder, config, find_stage(config, f"seed0/small-{name}"))
        for name in ("own", "own_shuffled", "teacher")
    }
    teacher = augmentation_of(folder, config, find_stage(config, "seed0/teacher-own"))
    assert by["teacher"] == teacher != by["own"]
    assert {str(a) for _, a in by["own_shuffled"].segments} == {str(a) for _, a in by["own"].segments}
    with pytest.raises(InputError, match="no stage"):
        find_stage(config, "seed0/nothing")


def test_one_network_is_evaluated_without_the_test_set(finished: Path) -> None:
    metrics = evaluate_stage(finished, "seed0/small-none")
    done = json.loads((finished / "stages/seed0/small-none/done.json").read_text())
    assert metrics.accuracy == done["validation_accuracy"] and len(metrics.correct) == 100
    with pytest.raises(InputError, match="must be a training"):
        evaluate_stage(finished, "seed0/test")


@pytest.mark.slow
def test_stopping_keeps_everything(tmp_path: Path, finished: Path) -> None:
    def stop(update: StageUpdate) -> None:
        if update.text == "done" and update.stage == "seed0/teacher-own":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run(load(QUICK), tmp_path / "r", on_update=stop)
    assert not (tmp_path / "r" / "results.json").exists()
    run(load(QUICK), tmp_path / "r")
    assert results_of(tmp_path / "r") == results_of(finished)


@pytest.mark.slow
def test_scalars_are_searched_and_replayed(tmp_path: Path) -> None:
    settings = ["seeds=[0]", "arms.student=[none, own]", "arms.distill=[true]", "distill.view=own"]
    settings.append(
        "search.scalars={learning_rate: {low: 0.001, high: 0.02, log: true}, temperature: {low: 1, high: 8}}"
    )
    run(load(QUICK, settings), tmp_path / "r")
    scalars = json.loads((tmp_path / "r/stages/seed0/small-search/scalars.json").read_text())
    assert scalars[0][0] == 0 and 0.001 <= scalars[0][1]["learning_rate"] <= 0.02
    record = (tmp_path / "r/stages/seed0/small-own+distill/record.jsonl").read_text().splitlines()
    assert json.loads(record[0])["learning_rate"] <= scalars[0][1]["learning_rate"]
    page = (tmp_path / "r/report.html").read_text()
    assert "Numbers that were searched" in page and f"{scalars[0][1]['temperature']:.4g} from 0%" in page


def test_a_student_may_begin_as_its_teacher(tmp_path: Path) -> None:
    settings = ["seeds=[0]", "students[0].model.arguments.widths=[8, 12]", "teacher.train.epochs=12"]
    settings += ["arms.student=[none]", "arms.teacher=[none]", "arms.distill=[false]"]
    losses = {}
    for init in ("teacher", "random"):
        run(load(QUICK, [*settings, f"students[0].init={init}"]), tmp_path / init)
        record = (tmp_path / init / "stages/seed0/small-none/record.jsonl").read_text().splitlines()
        losses[init] = json.loads(record[0])["train_loss"]
    assert losses["teacher"] < 0.85 * losses["random"]


def test_a_trained_teacher_is_taken_from_its_file(tmp_path: Path, finished: Path) -> None:
    weights = finished / "stages/seed0/teacher-own/weights.safetensors"
    settings = ["seeds=[0]", "arms.teacher=[standard]", "arms.student=[none]", f"teacher.weights={weights}"]
    results = run(load(QUICK, settings), tmp_path / "r")
    known = json.loads(results_of(finished))["teachers"][0]["metrics"]["accuracy"]["0"]
    # The same network; only the images' statistics, which a seed's training images give, are the same as well.
    assert results["teachers"][0]["metrics"]["accuracy"]["0"] == known
    assert (tmp_path / "r/stages/seed0/teacher-standard/weights.safetensors").read_bytes() == weights.read_bytes()
    with pytest.raises(InputError, match="cannot be read"):
        run(load(QUICK, [*settings[:3], f"teacher.weights={tmp_path / 'none'}"]), tmp_path / "other")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    rng = random.Random(0)
    smaller = ["seeds=[0]", "arms.student=[none,own]", "arms.distill=[true]"]
    run(load(QUICK, smaller), tmp_path / "undisturbed")
    command = [sys.executable, "-u", "-m", "rolewise", "run", str(QUICK), "--out", str(tmp_path / "r")]
    command += [part for setting in smaller for part in ("--set", setting)]
    # tests/faults kills runs far more often, from one warm process; here each life is the command itself. By the stages
    # that are done: in the first, by one process; with workers up, among the later ones, and at the last or the report.
    lives = [(1, 0), (2, 1), (2, 4)]
    whole = 0
    while lives or not whole:
        workers, wanted = lives[0] if lives else (1, 100)
        life = [*command, "--set", f"workers={workers}"]
        if is_killed(life, "steps on", lambda n=wanted: len(list(tmp_path.glob("r/stages/*/*/done.json"))) >= n, rng):
            del lives[0]
            continue
        assert results_of(tmp_path / "r") == results_of(tmp_path / "undisturbed")
        (tmp_path / "r").rename(tmp_path / f"done-{whole}")
        whole += 1
