"""Chains and several teachers: the stages that they need, what is shared, and what teaches whom."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rolewise.config import ConfigError, as_values
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_keys import stage_keys
from rolewise.experiment.stages import find_stage, training

QUICK = Path(__file__).with_name("quick.yaml")
CHAIN = """extends: {quick}
seeds: [0]
teacher: {{train: {{epochs: 1}}}}
students:
  - name: assistant
    model: {{name: small_cnn, arguments: {{widths: [6, 8]}}}}
    images: 50
    train: &short {{epochs: 1, batch_size: 50, optimizer: {{name: adam, learning_rate: 0.01}}}}
  - name: chained
    model: {{name: small_cnn, arguments: {{widths: [4, 6]}}}}
    teachers: [assistant]
    images: 50
    train: *short
  - name: both
    model: {{name: small_cnn, arguments: {{widths: [4, 6]}}}}
    teachers: [teacher, assistant]
    images: 50
    train: *short
    phases:
      - methods: [{{name: kd, teacher: teacher}}, {{method: kd, name: kd_assistant, teacher: assistant}}]
arms: {{teacher: [none], student: {arms}, distill: [true, false]}}
"""


def chain(tmp_path: Path, *changes: tuple[str, str], arms: str = "[none]") -> ExperimentConfig:
    text = CHAIN.format(quick=QUICK, arms=arms)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "chain.yaml").write_text(text)
    return load(tmp_path / "chain.yaml")


def test_each_student_is_taught_by_those_that_its_config_names(tmp_path: Path) -> None:
    config = chain(tmp_path)
    run(config, tmp_path / "run", only=lambda stage: stage.name.endswith("+distill"))
    folder = RunFolder(tmp_path / "run")
    stages = tmp_path / "run/stages/seed0"
    for arm, teachers in {
        "assistant-none+distill": {"teacher": "teacher-none"},
        "chained-none+distill": {"teacher": "assistant-none+distill"},
        "both-none+distill": {"teacher": "teacher-none", "assistant": "assistant-none+distill"},
    }.items():
        stage = find_stage(config, f"seed0/{arm}")
        assert set(stage.needs) == {f"seed0/{name}" for name in teachers.values()}
        distiller = training(folder, stage).trainee.distiller
        assert set(distiller.teachers) == set(teachers)
        for role, name in teachers.items():
            kept = load_file(stages / name / "weights.safetensors")
            assert all(torch.equal(kept[key], value) for key, value in distiller.teachers[role].state_dict().items())
    alone = find_stage(config, "seed0/chained-none")
    assert alone.teacher is None and not alone.needs and not alone.others


def test_searches_run_beside_the_network_that_teaches_in_their_arm(tmp_path: Path) -> None:
    config = chain(tmp_path, arms="[own_shuffled, random_search]")
    stages = {stage.name.removeprefix("seed0/"): stage for stage in stages_of(config)}
    # The student's shuffled arm is taught by the assistant's; its search by the arm that trains as the search found.
    assert stages["chained-own_shuffled+distill"].needs == (
        "seed0/assistant-own_shuffled+distill",
        "seed0/chained-search",
    )
    assert stages["chained-search"].needs == ("seed0/assistant-own+distill",)
    assert stages["both-random-search"].others == (("assistant", "seed0/assistant-random_search+distill"),)
    order = list(stages)
    for name, stage in stages.items():
        assert all(order.index(need.removeprefix("seed0/")) < order.index(name) for need in stage.needs)


def test_a_chain_shares_what_is_the_same_and_nothing_else(tmp_path: Path) -> None:
    config, plain = chain(tmp_path), chain(tmp_path, ("    teachers: [assistant]\n", ""))
    assert "teachers" not in as_values(plain)["students"][1] and "teachers" in as_values(config)["students"][1]
    keys = [stage_keys(one, read=False) for one in (config, plain)]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"seed0/chained-none+distill"}
    moved = stage_keys(chain(tmp_path, ("widths: [6, 8]", "widths: [6, 9]")), read=False)
    changed = {name.removeprefix("seed0/") for name in moved if moved[name] != keys[0][name]}
    assert changed == {
        "assistant-none+distill",
        "assistant-none",
        "chained-none+distill",
        "both-none+distill",
    }


def test_a_method_of_several_teachers_reads_all_of_them_or_those_that_it_names(tmp_path: Path) -> None:
    several = "[{name: dgkd}, {name: ebkd, teacher: [assistant]}]"
    config = chain(
        tmp_path, ("[{name: kd, teacher: teacher}, {method: kd, name: kd_assistant, teacher: assistant}]", several)
    )
    run(config, tmp_path / "run", only=lambda stage: stage.name.endswith("+distill"))
    distiller = training(RunFolder(tmp_path / "run"), find_stage(config, "seed0/both-none+distill")).trainee.distiller
    assert [link.teachers for link in distiller.links] == [("teacher", "assistant"), ("assistant",)]


WRONG = [
    ("[assistant]", "[assistent]", "students[1].teachers[0]", '"assistent", got'),
    ("[assistant]", "[both]", "students[1].teachers[0]", 'that stands before "chained"'),
    ("[assistant]", "[]", "students[1].teachers", "must name at least one network"),
    ("[{name: kd, teacher: teacher}", "[{name: kd}", "students[2].phases[0].methods[0].teacher", "must be one of"),
    ("teacher: assistant}]", "teacher: small}]", "students[2].phases[0].methods[1].teacher", "got 'small'"),
    (
        "[{name: kd, teacher: teacher}",
        "[{name: ebkd, teacher: [teacher, assistent]}",
        "students[2].phases[0].methods[0].teacher",
        "must be of teacher, assistant, the teachers of",
    ),
    ("seeds: [0]", "seeds: [0]\ndistill: {view: own}", "distill.view", 'must be "shared" or "clean"'),
]


@pytest.mark.parametrize(("old", "new", "key", "message"), WRONG)
def test_a_fault_of_a_chain_is_named(old: str, new: str, key: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        chain(tmp_path, (old, new))
    faults = {fault.path: fault.message for fault in caught.value.faults}
    assert key in faults, faults
    assert message in faults[key] or "did you mean" in faults[key]


def test_validation_images_of_a_search_stay_unseen(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="retrain_on_validation: must be false where a student"):
        chain(tmp_path, ("seeds: [0]", "seeds: [0]\nretrain_on_validation: true"), arms="[own]")
