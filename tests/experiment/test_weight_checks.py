"""Weights that are not those of the teacher's network are found before anything starts; those that are, are taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rolewise.config import ConfigError
from rolewise.experiment import load
from rolewise.experiment.pipeline import run
from rolewise.experiment.weight_sources import TAKEN
from rolewise.models import build
from rolewise.study.keys import stage_keys

pytestmark = pytest.mark.usefixtures("figures_unrendered")

ARMS = "arms={teacher: [none], student: [none]}"
QUICK = Path(__file__).parent / "quick.yaml"
STATE = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[8, 12]).state_dict()
SMALL = build("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[4, 6], seed=7).state_dict()


def faults(*settings: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [ARMS, *settings])
    return {found.path: found.message for found in caught.value.faults}


def fault(path: Path) -> str:
    ((place, message),) = faults(f"teacher.weights='{path}'").items()
    assert place == "teacher.weights"
    return message


def test_weights_of_another_network_are_a_fault_of_the_config(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "fits.safetensors")
    load(QUICK, [ARMS, f"teacher.weights='{tmp_path / 'fits.safetensors'}'"])
    save_file({f"module.{name}": tensor.clone() for name, tensor in STATE.items()}, tmp_path / "wrapped.safetensors")
    load(QUICK, [ARMS, f"teacher.weights='{tmp_path / 'wrapped.safetensors'}'"])
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "1 of the file's are not in the network (weight)" in fault(tmp_path / "other.safetensors")
    torch.save({"model": SMALL}, tmp_path / "small.pt")
    message = fault(tmp_path / "small.pt")
    assert "must be of the teacher's network" in message
    assert "have another shape (" in message and message.count(" in the file, ") == 3, message


def test_each_rule_has_its_own_place_among_the_faults(tmp_path: Path) -> None:
    torch.save({"ema": STATE}, tmp_path / "t.pt")
    setting = f"teacher.weights={{file: '{tmp_path / 't.pt'}', "
    for rule, place, part in (
        ("key: emma}", "teacher.weights", "has no key 'emma'; did you mean \"ema\"?"),
        ("except: [head.*]}", "teacher.weights.except", "'head.*' fits none"),
        ("rename: {a.*: b}}", "teacher.weights.rename.a.*", "'a.*' fits none"),
        ("rename: 3}", "teacher.weights.rename", "must be a mapping"),
        ("kay: ema}", "teacher.weights.kay", 'did you mean "key"?'),
    ):
        ((path, message),) = faults(setting + rule).items()
        assert path == place and part in message
    ((path, message),) = faults("students[0].init=teachr").items()
    assert path == "students[0].init" and 'must be "random", "teacher" or a file of weights' in message


def test_the_table_is_shown_and_random_weights_of_a_teacher_are_remarked(tmp_path: Path) -> None:
    torch.save({"state_dict": {f"net.{name}": tensor for name, tensor in STATE.items()}}, tmp_path / "t.pt")
    notes: list[str] = []
    setting = f"teacher.weights={{file: '{tmp_path / 't.pt'}', rename: {{'net.*': '*'}}, except: ['fc.*']}}"
    load(QUICK, [ARMS, setting, "distill.methods=[{name: fitnets}]"], on_note=notes.append)
    table = next(note for note in notes if note.startswith("teacher.weights: "))
    assert "under state_dict" in table and "net.fc.weight" in table and "  missing       2  fc.weight, fc.bias" in table
    assert any("fc.weight, fc.bias keep random initial weights" in note for note in notes)


def test_a_checkpoint_of_another_making_teaches_and_begins_a_student(tmp_path: Path) -> None:
    torch.save({"model_state_dict": {f"module.{name}": tensor for name, tensor in STATE.items()}}, tmp_path / "t.pt")
    torch.save({"state_dict_ema": SMALL, "state_dict": {**SMALL, "fc.bias": SMALL["fc.bias"] + 9}}, tmp_path / "s.pth")
    settings = ["seeds=[0]", ARMS, f"teacher.weights={tmp_path / 't.pt'}", "students[0].train.epochs=1"]
    begun = f"students[0].init={{file: '{tmp_path / 's.pth'}', key: state_dict_ema}}"
    config = load(QUICK, [*settings, begun, "students[0].train.optimizer.learning_rate=1e-7"])
    run(config, tmp_path / "r")
    stages = tmp_path / "r/stages/seed0"
    teacher = load_file(stages / "teacher-none/weights.safetensors")
    assert all(torch.equal(teacher[name], tensor) for name, tensor in STATE.items())
    known = json.loads((stages / "teacher-none" / TAKEN).read_text())
    assert known["key"] == "model_state_dict" and known["renamed"]["count"] == len(STATE)
    student = load_file(stages / "small-none+distill/weights.safetensors")
    for name, tensor in SMALL.items():
        assert "running" in name or "tracked" in name or torch.allclose(student[name], tensor, atol=1e-4)
    known = json.loads((stages / "small-none+distill" / TAKEN).read_text())
    assert known["key"] == "state_dict_ema" and known["beside"] == [] and known["missing"]["count"] == 0
    record = json.loads((tmp_path / "r/run.json").read_text())
    assert {name.partition(" ")[0] for name in record["read"]} >= {"weights"}


def test_content_and_rules_are_in_the_keys_and_the_name_is_not(tmp_path: Path) -> None:
    def keys(value: str, init: str = "random") -> dict[str, str]:
        return stage_keys(load(QUICK, ["seeds=[0]", ARMS, f"teacher.weights={value}", f"students[0].init={init}"]))

    torch.save({"model": STATE, "ema": STATE}, tmp_path / "a.pt")
    shutil.copy(tmp_path / "a.pt", tmp_path / "b.pt")
    torch.save(SMALL, tmp_path / "small-a.pt")
    a, b = (str(tmp_path / name) for name in ("a.pt", "b.pt"))
    plain = keys(a)
    assert keys(b) == plain
    assert keys(f"{{file: {a}}}") == plain
    teacher, taught, alone = "seed0/teacher-none", "seed0/small-none+distill", "seed0/small-none"
    ema = keys(f"{{file: {a}, key: ema}}")
    assert ema[teacher] != plain[teacher] and ema[taught] != plain[taught] and ema[alone] == plain[alone]
    begun = keys(a, str(tmp_path / "small-a.pt"))
    assert begun[teacher] == plain[teacher] and begun[taught] != plain[taught] and begun[alone] != plain[alone]
    assert keys(a, f"{{file: {tmp_path / 'small-a.pt'}}}") == begun
    torch.save({**SMALL, "fc.bias": SMALL["fc.bias"] + 1}, tmp_path / "small-a.pt")
    later = keys(a, str(tmp_path / "small-a.pt"))
    assert later[taught] != begun[taught] and later[teacher] == plain[teacher]
