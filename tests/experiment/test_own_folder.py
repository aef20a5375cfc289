"""A config with code of every kind beside it, from another current folder: found by every command and by workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load
from rolewise.study import load_study

CODE = """
import numpy as np
import torch
from torch import nn

from rolewise.augment import operation
from rolewise.quant import Codes
from rolewise.tasks import build_task


def bars(number=90):
    draws = np.random.default_rng(0)
    labels = np.arange(number) % 3
    images = (draws.random((number, 12, 12)) * 80).astype(np.uint8)
    for image, label in zip(images, labels):
        image[4 * label : 4 * label + 3] += 120
    return {"images": images, "labels": labels, "classes": ["top", "middle", "bottom"]}


class Net(nn.Module):
    def __init__(self, num_classes, channels, *, width=4):
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width * 16, num_classes)

    def forward(self, images):
        maps = self.second(self.first(images).relu()).relu()
        return self.fc(nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1))


def distance_loss(student, teacher, *, power=2.0):
    return (student - teacher).abs().pow(power).mean(1)


@operation(range=40.0, unit="grey levels")
def darker(images, values):
    return (images - values.view(-1, 1, 1, 1)).clamp(0, 255).to(torch.uint8)


def certainty(outputs, batch):
    return outputs.logits.softmax(1).amax(1)


def renamed_task():
    return build_task("classification")


class Signs(nn.Module):
    def __init__(self, weight, bits):
        super().__init__()
        self.bits = bits

    def forward(self, weight):
        scale = weight.detach().abs().mean().clamp_min(1e-8)
        way = (weight / scale).clamp(-1, 1)
        return (way + (way.round() - way).detach()) * scale

    def codes(self, weight):
        scale = weight.detach().abs().mean().clamp_min(1e-8)
        return Codes(((weight.detach() / scale).clamp(-1, 1).round() + 1).to(torch.uint8), scale, -scale, self.bits)


class Notes:
    def start(self, run):
        self.place = run.folder / "notes.txt"

    def log(self, stage, step, values):
        with self.place.open("a") as file:
            file.write(f"{stage} {step}\\n")

    def finish(self, results):
        pass


def largest(model, batches):
    return {"largest": max(float(model(inputs).max()) for inputs, _ in batches)}
"""
CONFIG = """
name: mine
seeds: [0]
workers: 2
task: "MODULE:renamed_task"
metrics: ["MODULE:certainty"]
data: {name: "MODULE:bars", validation: 12, test: 18, arguments: {number: 90}}
teacher: {model: {name: "MODULE:Net"}, train: {epochs: 1, batch_size: 16}}
students:
  - name: small
    model: {name: "MODULE:Net", arguments: {width: 3}}
    train: {epochs: 1, batch_size: 16}
    quantise: {weights: 2, activations: 4, quantiser: "MODULE:Signs", keep: [first]}
distill: {methods: [{name: kd}, {name: "MODULE:distance_loss", weight: 0.1}]}
augment: {ops: [rotate, "MODULE:darker"]}
search: {members: 2, intervals: 2}
arms: {teacher: [none], student: [own], control: own, distill: [true]}
track: ["MODULE:Notes"]
"""
STUDY = """
name: both
base: config.yaml
set: {metrics: [], task: classification, arms: {teacher: [none], student: [none], distill: [true]}}
measure: ["MODULE:largest"]
grid: {distill.methods.1.weight: [0.1, 0.5]}
"""
#: The settings that name code, each with the line of the config that it stands on.
PLACES = {
    "task": 5,
    "metrics[0]": 6,
    "data.name": 7,
    "teacher.model.name": 8,
    "students[0].model.name": 11,
    "students[0].quantise.quantiser": 13,
    "distill.methods[1].name": 14,
    "augment.ops[1]": 15,
    "track[0]": 18,
}


def folder_with(home: Path, module: str, code: str = CODE) -> Path:
    """Writes the config, the study and the module; gives the config."""
    home.mkdir(exist_ok=True)
    (home / f"{module}.py").write_text(code)
    for name, text in (("config.yaml", CONFIG), ("study.yaml", STUDY)):
        (home / name).write_text(text.replace("MODULE", module))
    return home / "config.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the config; the current one is another, and nothing of this test stays on Python's path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def test_code_of_every_kind_is_found_beside_the_config(home: Path, rolewise) -> None:
    config = folder_with(home, "all_kinds")
    assert load(config).data.name == "all_kinds:bars"
    code, text, error = rolewise("data", "look", config)
    assert code == 0 and "middle" in text, error
    assert f"runs it: all_kinds ({home / 'all_kinds.py'})" in text
    assert len(load_study(home / "study.yaml").cells) == 2


def test_code_that_is_not_there_is_named_with_its_line_and_the_folders(home: Path) -> None:
    config = folder_with(home, "without_names", "")
    with pytest.raises(ConfigError) as caught:
        load(config)
    found = {fault.path: fault for fault in caught.value.faults}
    assert {path: fault.place.line for path, fault in found.items()} == PLACES
    assert all(f"without_names ({home / 'without_names.py'}) has no" in fault.message for fault in found.values())
    config.write_text(config.read_text().replace("without_names:", "no_such_module:"))
    with pytest.raises(ConfigError) as caught:
        load(config)
    found = {fault.path: fault for fault in caught.value.faults}
    assert {path: fault.place.line for path, fault in found.items()} == PLACES
    # Other tests of this process may have left folders on the path, which are named too.
    places = f"{home}, {Path.cwd()} and on Python's path)"
    assert all("no module 'no_such_module'" in fault.message for fault in found.values())
    assert all(places in fault.message for fault in found.values())
    study = home / "study.yaml"
    study.write_text(study.read_text().replace("without_names:", "no_such_module:"))
    with pytest.raises(ConfigError) as caught:
        load_study(study)
    measured = [fault for fault in caught.value.faults if fault.path == "measure[0]"]
    assert [fault.place.line for fault in measured] == [5] and places in measured[0].message


@pytest.mark.slow
def test_from_an_empty_folder_to_a_report_with_ones_own_code(tmp_path: Path) -> None:
    """The first journey: each command is a process of its own, and trainings are in workers."""
    folder_with(tmp_path / "mine", "journey_parts")
    (tmp_path / "elsewhere").mkdir()

    def rolewise(*arguments: str, where: str = "mine") -> str:
        command = [sys.executable, "-m", "rolewise", *arguments]
        ended = subprocess.run(command, cwd=tmp_path / where, capture_output=True, text=True, timeout=240)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert "config.yaml is valid: 1 seed, 1 search, 1 teacher, 1 student trained" in rolewise("validate", "config.yaml")
    out = str(tmp_path / "run")
    rolewise("run", "../mine/config.yaml", "--out", out, where="elsewhere")
    record = (tmp_path / "run/stages/seed0/small-own+distill/record.jsonl").read_text().splitlines()
    assert set(json.loads(record[-1])["terms"]) >= {"kd", "distance", "labels"}
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["metrics"][0]["key"] == "certainty"
    assert "seed0/small-own+distill 1\n" in (tmp_path / "run/tracking/journey_parts.Notes/notes.txt").read_text()
    (tmp_path / "run/report.html").unlink()
    rolewise("report", out, where="elsewhere")
    assert "certainty" in (tmp_path / "run/report.html").read_text()
