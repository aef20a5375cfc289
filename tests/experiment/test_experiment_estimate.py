"""The budget that is stated before a run: steps, images, time."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest
import torch

from rolewise.experiment import builders, evaluation_timing, load, step_timing
from rolewise.experiment.estimate import estimated_seconds, evaluated, resampled, stage_seconds, stage_times
from rolewise.experiment.pipeline import images_of, plan
from rolewise.experiment.run_folder import open_run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.files import write_text
from rolewise.models import build
from rolewise.seals import SECONDS, write_sealed
from rolewise.threads import torch_threads
from rolewise.train import save_weights
from rolewise.train.arithmetic import typical_seconds

QUICK = Path(__file__).parent / "quick.yaml"
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "run_estimate.py"


def test_steps_images_and_time_are_counted(tmp_path: Path) -> None:
    config = load(QUICK, ["seeds=[0]", "arms.student=[none]"])
    stated = plan(open_run(tmp_path / "r", config), stages_of(config), 2)
    # Batches of 50: the teacher's search is 3 members x 4 epochs x 200 images, an arm 6 epochs x 100 images.
    assert stated.images["seed0/teacher-search"] == 2400 and stated.steps["seed0/teacher-search"] == 48
    assert stated.images["seed0/small-none"] == 600 and stated.steps["seed0/small-none"] == 12
    assert stated.seconds > 0


def test_nothing_left_takes_no_time_and_more_images_take_more() -> None:
    config = load(QUICK, ["seeds=[0]"])
    stages = stages_of(config)
    images = {stage.name: 1000 for stage in stages}
    assert stage_times(config, [], images).seconds == {} and estimated_seconds([], 1) == 0
    # Timings of two calls differ; a hundred times the images differ by more.
    less, more = (
        stage_times(config, stages, {name: by * number for name, number in images.items()}).seconds for by in (1, 99)
    )
    assert all(0 < less[stage.name] < more[stage.name] for stage in stages if stage.kind != "test")
    assert less["seed0/test"] > 0


def test_a_search_that_stacks_its_members_is_timed_so() -> None:
    def rate(what: str, name: str) -> float:
        return {"training": 1.0, "distilling": 4.0, "stacked training": 0.5, "stacked distilling": 3.0}.get(what, 0.0)

    settings = ["seeds=[0]", "arms.student=[none, own]"]
    apart, stacked = (load(QUICK, [*settings, *given]) for given in ([], ["search.stacked=3"]))
    for name, saved in {
        "teacher-search": 0.5,
        "small-search": 1.0,
        "teacher-own": 0.0,
        "small-own+distill": 0.0,
    }.items():
        stage = next(one for one in stages_of(apart) if one.name == f"seed0/{name}")
        lasts = [stage_seconds(config, stage, 100, (0, 0), rate) for config in (apart, stacked)]
        assert lasts[0] - lasts[1] == pytest.approx(100 * saved)
    stages = [stage for stage in stages_of(stacked) if stage.kind == "search"]
    found = stage_times(stacked, stages, {stage.name: 100 for stage in stages})
    assert found.stacked.keys() == {"teacher", "small"} and all(share > 0 for share in found.stacked.values())
    assert not stage_times(apart, stages[:1], {stages[0].name: 100}).stacked


def test_no_worker_is_faster_than_the_longest_stage() -> None:
    assert estimated_seconds([6.0, 2.0, 1.0], 1) == 9 and estimated_seconds([6.0, 2.0, 1.0], 2) == 6
    assert estimated_seconds([2.0, 2.0, 2.0], 8) == 2


def test_evaluations_are_counted_by_network() -> None:
    config = load(QUICK, ["seeds=[0]", "arms.student=[none, own, screened_search]", "arms.distill=[true]"])
    found = {stage.name: evaluated(config, stage, 100, 300) for stage in stages_of(config)}
    # 3 members x 2 intervals; 4 epochs, each validated, and once at the end; 1 teacher and 3 arms on the test set.
    assert found["seed0/teacher-search"] == {"teacher": 600}
    assert found["seed0/teacher-own"] == {"teacher": 500}
    assert found["seed0/test"] == {"teacher": 300, "small": 900}
    assert found["seed0/small-screened-search"] == {"small": 600, "teacher": 64 * 8 * 512}
    trained = load(QUICK, ["seeds=[0]", "arms.student=[none]", "retrain_on_validation=true", "students[0].images=null"])
    assert evaluated(trained, stages_of(trained)[-2], 100, 300) == {}


def test_a_metric_that_is_no_mean_of_images_is_computed_on_resamples_of_the_test_images() -> None:
    several = load(QUICK, ["arms.student=[none, randaugment]", "arms.teacher=[none]", "seeds=[0, 1]"])
    test = next(stage for stage in stages_of(several) if stage.kind == "test")
    # Four arms, of which the two under RandAugment are also compared with their controls, 200 resamples of either.
    assert resampled(several, test) == {"teacher": 200, "small": 200 * 4 + 2 * 200 * 2}
    assert resampled(several, stages_of(several)[0]) == {}
    one = several.changed(seeds=(0,))
    assert resampled(one, stages_of(one)[-1])["teacher"] == 400
    seconds = stage_seconds(one, stages_of(one)[-1], 0, (0, 50), lambda what, _: 0.001 * (what == "resampling"))
    assert seconds == pytest.approx(50 * 0.001 * (400 + 400 * 4 + 800), abs=0.5)
    for primary, is_timed in (("accuracy", False), ("f1_macro", True)):
        config = one.changed(metrics=("accuracy", "f1_macro"), primary=primary)
        data = seed_data_of(config, 0, builders.configured_device(config.device), None)
        assert (evaluation_timing.resampling_seconds(data, "small") > 0) == is_timed


def test_a_teacher_from_a_file_is_not_counted_as_a_training(tmp_path: Path) -> None:
    weights = tmp_path / "teacher.safetensors"
    save_weights(build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[8, 12]), weights)
    config = load(QUICK, ["seeds=[0]", "arms.student=[none]", "arms.teacher=[none]", f"teacher.weights={weights}"])
    run = open_run(tmp_path / "r", config)
    teacher = next(stage for stage in stages_of(config) if stage.kind == "teacher")
    assert images_of(run, teacher) == 0 and evaluated(config, teacher, 100, 300) == {}


def test_a_short_timing_takes_more_images_that_a_method_s_memory_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = "distill.methods=[{name: crd, negatives: 20, width: 6, weight: 0.05}]"
    config = load(QUICK, ["seeds=[0]", "arms.student=[none]", methods, "students[0].train.batch_size=10"])
    data = seed_data_of(config, 0, builders.configured_device(config.device), None)
    # However fast the machine is, one batch counts as too short.
    monkeypatch.setattr(step_timing, "_ENOUGH", float("inf"))
    assert step_timing.distilling_seconds(data, config.students[0].name) > 0


def test_time_that_the_processor_gives_to_others_is_not_a_step_s() -> None:
    with torch_threads(1):
        assert typical_seconds(lambda: time.sleep(0.03), torch.device("cpu")) < 0.02
    # Of several threads the processor's time is no measure.
    with torch_threads(2):
        assert typical_seconds(lambda: time.sleep(0.03), torch.device("cpu")) > 0.02


def test_estimates_are_compared_with_what_a_run_recorded_by_kind_of_stage(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("run_estimate", BENCHMARK)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    settings = ["seeds=[0, 1]", "arms.student=[none]", "arms.teacher=[none]", "arms.distill=[false]"]
    config = load(QUICK, settings)
    write_text(tmp_path / "config.yaml", QUICK.read_text())
    for stage in stages_of(config):
        if stage.name != "seed1/test":  # not finished
            seconds = {"teacher": 4.0, "arm": 1.0, "test": 0.5}[stage.kind] * (1 + stage.seed)
            write_sealed(tmp_path / "stages" / stage.name / SECONDS, {"files": {}, "seconds": seconds})
    rows = {row["what"]: row for row in benchmark.compared(tmp_path, settings)}
    assert {what: (row["stages"], row["took"], row["quiet"]) for what, row in rows.items()} == {
        "teachers": (2, 12.0, 8.0),
        "students": (2, 3.0, 2.0),
        "tests": (1, 0.5, 0.5),
        "all": (5, 15.5, 10.5),
    }
    for row in rows.values():
        assert row["estimate"] > 0 and row["quiet_ratio"] == row["estimate"] / row["quiet"]
