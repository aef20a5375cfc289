"""Parts of an experiment by name, the names that there are, and what a run would cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.dry_run import dry_run
from rolewise.experiment.estimate import run_seconds, stage_seconds
from rolewise.experiment.stage_graph import Stage, _stages, stages_of
from rolewise.experiment.stage_selection import chosen_stages
from rolewise.models import build
from rolewise.train import save_weights

QUICK = Path(__file__).parent / "quick.yaml"


@pytest.fixture(scope="module")
def config() -> ExperimentConfig:
    return load(QUICK, ["arms.student=[own]"])


def test_arms_and_stages_are_chosen_by_their_names_with_or_without_student_and_seed(config: ExperimentConfig) -> None:
    def names(arms: list[str], stages: list[str]) -> list[str]:
        return [stage.name for stage in stages_of(config) if chosen_stages(config, arms, stages)(stage)]

    both = ["seed0/small-own+distill", "seed1/small-own+distill"]
    assert names(["own+distill"], []) == names(["small-own+distill"], []) == names([], ["small-own+distill"]) == both
    assert names([], ["seed1/teacher-own"]) == ["seed1/teacher-own"]
    assert names(["none"], ["teacher-search"]) == [
        *("seed0/teacher-search", "seed0/small-none", "seed1/teacher-search", "seed1/small-none")
    ]
    assert names(["teacher-own"[8:]], []) == ["seed0/small-own", "seed1/small-own"], "no teacher is an arm"


def test_a_wrong_name_lists_the_names(config: ExperimentConfig) -> None:
    with pytest.raises(InputError, match=r"--arm must name an arm, got 'owm\+distill'; did you mean \"own\+distill\""):
        chosen_stages(config, ["owm+distill"], [])
    with pytest.raises(InputError) as caught:
        chosen_stages(config, [], ["teacher-ow"])
    text = str(caught.value)
    assert 'did you mean "teacher-own"' in text and "seed0/small-own+distill" in text
    assert text.endswith("and the same of seed 1")


def test_nothing_is_written_where_a_run_is_only_counted(config: ExperimentConfig, rolewise, tmp_path: Path) -> None:
    out = tmp_path / "r"
    code, text, _ = rolewise("run", str(QUICK), "--out", str(out), "--dry-run", "--arm", "none+distill")
    assert code == 0 and not out.exists() and "6 stages to run" in text and "searches" in text
    assert "images trained on" in text and "worker" in text
    code, text, _ = rolewise("validate", str(QUICK), "--cost", "--set", "arms.student=[own]", "--set", "seeds=[0]")
    assert code == 0 and "Added as control, which every arm is compared with: none+distill and none" in text
    # Large images take a while: the sentence stands before the table.
    assert "valid" in text.partition("timing a few steps")[0] and "8 stages to run, about" in text


def test_a_teacher_from_a_file_costs_no_training(tmp_path: Path) -> None:
    weights = tmp_path / "teacher.safetensors"
    save_weights(build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[8, 12]), weights)
    arms = "arms={teacher: [none], student: [none]}"
    plan, extension = dry_run(load(QUICK, ["seeds=[0]", arms, f"teacher.weights={weights}"]), tmp_path / "r")
    assert extension is None and plan.images["seed0/teacher-none"] == 0 and plan.images["seed0/small-none"] == 600
    assert 0 < plan.times["seed0/teacher-none"] < plan.times["seed0/small-none+distill"]


def test_stages_are_placed_on_workers_after_what_they_need() -> None:
    stages = [
        Stage("s", "search", 0, "a"),
        Stage("t", "teacher", 0, "a", needs=("s",)),
        *(Stage(name, "arm", 0, "b", needs=("t",)) for name in "xyz"),
    ]
    times = {"s": 8.0, "t": 4.0, "x": 2.0, "y": 2.0, "z": 2.0}
    assert run_seconds(stages, times, 1) == 18 and run_seconds(stages, times, 2) == 16
    assert run_seconds(stages, times, 2, search_workers=2) == 12
    assert run_seconds(stages, {"y": 2.0}, 4) == 2 and run_seconds(stages, {}, 2) == 0


@pytest.mark.parametrize(
    ("cache", "passes"), [("{views: 3}", 3), ("{views: clean}", 1), ("{views: replay}", 15), ("null", 15)]
)
def test_a_cache_spares_the_teacher_s_passes(cache: str, passes: int) -> None:
    view = "clean" if "clean" in cache else "shared"
    settings = [f"distill.cache={cache}", f"distill.view={view}", "students[0].train.epochs=15", "seeds=[0]"]
    config = load(QUICK, [*settings, "arms={teacher: [none], student: [none]}"])
    (distilled,) = [stage for stage in stages_of(config) if stage.distilled]
    seconds = {"training": 1.0, "distilling": 4.0, "teaching": 2.5}
    taken = stage_seconds(config, distilled, 150, (0, 0), lambda what, name: seconds.get(what, 0.0))
    # Of three seconds beside the student's own, two and a half are the teacher's, in so many of fifteen epochs.
    assert taken == pytest.approx(150 * (1.5 + 2.5 * passes / 15), abs=0.5)


@pytest.mark.parametrize(
    "setting",
    [
        *("seeds=[3]", "students[0].name=tall", "retrain_on_validation=false"),
        "students[0].init=teacher students[0].model.arguments={widths:[8,12]}",
        *("teacher.images=null", "arms.teacher=[none,standard]", "arms.student=[teacher]", "arms.distill=[true]"),
        *("arms.control=standard", "distill.methods[0].temperature=3"),
    ],
)
def test_stages_that_are_known_are_those_that_follow_from_the_config(setting: str, config: ExperimentConfig) -> None:
    other = load(QUICK, ["arms.student=[own]", *setting.split()])
    for known in (config, other, config):
        assert stages_of(known) == _stages(known)
    assert stages_of(other) == stages_of(config) or not setting.startswith("distill")
