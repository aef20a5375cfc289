"""Peers of a student in a config: what is trained, what is kept, what keys depend on, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rolewise.config import ConfigError, as_values
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_keys import stage_keys
from rolewise.experiment.stages import find_stage, training

QUICK = Path(__file__).with_name("quick.yaml")
PEERS = """extends: {quick}
seeds: [0]
teacher: {{train: {{epochs: 1}}}}
students:
  - name: small
    model: {{name: small_cnn, arguments: {{widths: [4, 6]}}}}
    images: 50
    train: {{epochs: 2, batch_size: 25, optimizer: {{name: adam, learning_rate: 0.01}}}}
    peers: [{{name: other, model: {{name: small_cnn, arguments: {{widths: [6, 8]}}}}}}]
    phases:
      - epochs: 1
        label_weight: 1.0
        methods:
          - {{method: kd, name: kd_student, student: student, teacher: other, weight: 1.0}}
          - {{method: kdcl, name: kdcl_other, student: other, teacher: [student, teacher]}}
      - label_weight: 1.0
        freeze: [{{role: other, eval: true}}]
        methods: [{{method: kd, name: kd_student, student: student, teacher: other, weight: 1.0}}]
arms: {{teacher: [none], student: [none], distill: [true, false]}}
"""


def peers(tmp_path: Path, *changes: tuple[str, str]) -> ExperimentConfig:
    text = PEERS.format(quick=QUICK)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "peers.yaml").write_text(text)
    return load(tmp_path / "peers.yaml")


def test_a_student_is_trained_beside_its_peers_and_kept_alone(tmp_path: Path) -> None:
    config = peers(tmp_path)
    run(config, tmp_path / "run", only=lambda stage: stage.name.endswith(("+distill", "small-none")))
    folder = RunFolder(tmp_path / "run")
    stage = find_stage(config, "seed0/small-none+distill")
    kept = load_file(tmp_path / "run/stages/seed0/small-none+distill/weights.safetensors")
    trainee = training(folder, stage).trainee
    assert trainee.distiller.roles == ("student", "other") and set(trainee.distiller.teachers) == {"teacher"}
    assert kept.keys() == trainee.distiller.students["student"].state_dict().keys()
    alone = training(folder, find_stage(config, "seed0/small-none")).trainee.distiller
    assert alone.roles == ("student",)
    # Where it stops, it goes on: weights of all networks, optimiser and phase.
    trainee.run_epoch()
    before = copy.deepcopy(trainee.distiller.students["other"].state_dict())
    rest = training(folder, stage).trainee
    rest.load_state_dict(copy.deepcopy(trainee.state_dict()))
    for one in (trainee, rest):
        one.run_epoch()
    for role, network in trainee.distiller.students.items():
        wanted = rest.distiller.students[role].state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())
    assert all(torch.equal(kept[key], value) for key, value in rest.model.state_dict().items())
    # In the second phase the peer stood still.
    assert all(
        torch.equal(value, before[key]) for key, value in trainee.distiller.students["other"].state_dict().items()
    )


def test_keys_depend_on_peers_where_they_train_and_nowhere_else(tmp_path: Path) -> None:
    config = peers(tmp_path)
    moved = peers(tmp_path, ("widths: [6, 8]", "widths: [6, 9]"))
    keys = [stage_keys(one, read=False) for one in (config, moved)]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"seed0/small-none+distill"}
    digits = load(Path(__file__).resolve().parents[2] / "configs" / "digits.yaml")
    assert all("peers" not in student for student in as_values(digits)["students"])


WRONG = [
    ("teacher: other, weight", "teacher: othr, weight", "phases[0].methods[0]", "othr"),
    (
        "student: other, teacher: [student, teacher]",
        "teacher: [student]",
        "phases[0].methods[1]",
        "student must be one of",
    ),
    ("name: other, model", "name: student, model", "peers[0].name", "that names no other role"),
    ("name: other, model", "name: teacher, model", "peers[0].name", "that names no other role"),
    ("[6, 8]}}", "[6, 8]}, init: teacher}", "peers[0].model.init", ""),
    ("name: small_cnn, arguments: {widths: [6, 8]}", "name: small_cn", "peers[0].model.name", "must be a model"),
]


@pytest.mark.parametrize(("old", "new", "key", "message"), WRONG)
def test_a_fault_of_peers_is_named(old: str, new: str, key: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        peers(tmp_path, (old, new))
    faults = {fault.path: fault.message for fault in caught.value.faults}
    assert f"students[0].{key}" in faults, faults
    assert message in faults[f"students[0].{key}"]


def test_a_peer_may_begin_with_the_teacher_s_weights(tmp_path: Path) -> None:
    widths = load(QUICK).teacher.model.arguments["widths"]
    config = peers(tmp_path, ("widths: [6, 8]}}}}".replace("}}", "}"), f"widths: {widths}}}}}, init: teacher"))
    assert config.students[0].peers[0].init == "teacher"
    run(config, tmp_path / "run", only=lambda stage: stage.kind == "teacher")
    distiller = training(RunFolder(tmp_path / "run"), find_stage(config, "seed0/small-none+distill")).trainee.distiller
    wanted = distiller.teachers["teacher"].state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in distiller.students["other"].state_dict().items())
