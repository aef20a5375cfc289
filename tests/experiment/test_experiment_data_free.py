"""Students without data in a whole experiment: refused beside what made images lack, run, and resumed at any step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolewise.config import ConfigError
from rolewise.config.experiment_values import as_values
from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.made_images import MAKERS, maker_settings
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.stage_keys import dependencies, stage_keys
from rolewise.experiment.stages import find_stage, run_training

QUICK = Path(__file__).with_name("quick.yaml")
FAST = "{method: fast_dfkd, steps: 4, every: 2, noise: 6, width: 4, settings: {inner_steps: 2, warmup: 1, padding: 1}}"
ZSKT = "{method: zskt, steps: 4, every: 3, noise: 6, width: 4}"
SMALL = ["seeds=[0]", "arms.student=[none]", "arms.teacher=[none]", "distill.methods=[{name: kd, weight: 1.0}]"]
SMALL += ["distill.label_weight=0", "students[0].train.epochs=2", "teacher.train.epochs=1"]


def with_method(given: str, *settings: str) -> list[str]:
    return [*SMALL, f"students[0].data_free={given}", *settings]


def faults_of(*settings: str) -> Iterator[str]:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, settings)
    return (str(fault) for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["distill.label_weight=0.1"], "distill.label_weight: must be 0 beside students[].data_free, got 0.1"),
        (["distill.view=clean"], 'distill.view: must be "shared" beside students[].data_free, got "clean"'),
        (["distill.cache={}"], "distill.cache: must be left out"),
        (["arms.student=[none, standard]"], "arms.student: must be [none] beside students[].data_free"),
        (["distill.methods=[{name: dkd}]"], 'must read no labels where a student has data_free, got "dkd"'),
        (["distill.methods=[{name: crd, negatives_from: all}]"], "must read no rows"),
        (["students[0].mix.method=mixup"], "students[0].mix.method: must be left out beside data_free"),
        (["students[0].phases=[{methods: [kd]}]"], "students[0].phases: must be left out"),
        (["students[0].model.size=[12, 12]"], "data_free: must be left out unless student and teacher take images"),
        (["teacher.model.size=[12, 12]"], "data_free: must be left out unless student and teacher take images"),
        (["students[0].train.batch_size=1"], "students[0].train.batch_size: must be at least 2"),
        (["students[0].data_free.settings={warmpu: 3}"], 'no such setting of "fast_dfkd"; did you mean "warmup"?'),
        (["students[0].data_free.settings={mirrored: 3}"], "must be like its default True, got 3"),
        (["students[0].data_free.settings={momentum: 1.5}"], "data_free: momentum must be at least 0 and below 1"),
        (["teacher.model={name: vit_mini, arguments: {depth: 1}}"], "data_free: teacher must have batch norms"),
    ],
    ids=lambda value: None if isinstance(value, str) else value[0][:40],
)
def test_what_made_images_lack_is_refused_with_its_key(settings: list[str], words: str) -> None:
    found = list(faults_of(*with_method(FAST, *settings)))
    assert any(words in one for one in found), found


def test_settings_are_those_of_the_objectives() -> None:
    assert "one_hot" in maker_settings("dafl") and maker_settings("zskt") == {}
    assert not {"noise", "classes", "batch_size"} & set(maker_settings("fast_dfkd")) and set(MAKERS) == {
        "dafl",
        "zskt",
        "fast_dfkd",
    }
    found = list(faults_of(*with_method("{method: dafl, settings: {tap: nowhere}}")))
    assert any("students[0].data_free" in one and "nowhere" in one for one in found)


def test_it_acts_under_distillation_alone_and_configs_without_it_keep_their_keys() -> None:
    plain, made = load(QUICK, SMALL), load(QUICK, with_method(FAST))
    assert "data_free" not in as_values(plain)["students"][0]
    keys: list[dict[str, Any]] = [stage_keys(one, read=False) for one in (plain, made)]
    assert keys[0]["seed0/small-none"] == keys[1]["seed0/small-none"]
    assert keys[0]["seed0/small-none+distill"] != keys[1]["seed0/small-none+distill"]
    stages = {stage.name: stage for stage in stages_of(made)}
    assert images_of_stage(made, stages["seed0/small-none+distill"]) == 4 * 50 * 2
    assert images_of_stage(made, stages["seed0/small-none"]) == 100 * 2
    assert "data_free" in dependencies(made, stages["seed0/small-none+distill"], keys[1])["role"]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "record.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [FAST, "{method: zskt, steps: 4, every: 3, noise: 6, width: 4}"], ids=["fast", "zskt"]
)
def test_a_run_ends_with_the_same_bytes_wherever_it_was_stopped(given: str, tmp_path: Path) -> None:
    config = load(QUICK, with_method(given, "arms.distill=[true]"))
    name = "seed0/small-none+distill"
    run(config, tmp_path / "whole")
    whole = RunFolder(tmp_path / "whole").stage(name)
    record = lines(whole)
    assert {term.partition(".")[0] for term in record[0]["terms"]} == {"kd", "generator"}
    assert json.loads((tmp_path / "whole/results.json").read_text("utf-8"))["arms"]
    for stop in (1, 3, 6):
        folder = RunFolder(tmp_path / f"stopped{stop}")
        run(config, folder.root, only=lambda stage: stage.role == "teacher")
        left = iter(range(1, 100))
        with pytest.raises(Interrupted):
            run_training(
                folder, find_stage(config, name), lambda line: None, lambda left=left, stop=stop: next(left) >= stop
            )
        run(config, folder.root)
        assert (folder.stage(name) / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
        assert lines(folder.stage(name)) == record
