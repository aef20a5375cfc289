"""The record of the machine: on the page, and where a run goes on elsewhere."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from rolewise import machine_record
from rolewise.experiment import load
from rolewise.experiment.pipeline import run
from rolewise.machine_record import (
    MachineWarning,
    WorkersMachines,
    machine,
    machine_differences,
    warn_of_another_machine,
)
from rolewise.report.facts import machine_facts
from rolewise.study.study_run import load_study, run_study

pytestmark = pytest.mark.usefixtures("figures_unrendered")

HERE = Path(__file__).parent
SMALL = [
    *("seeds=[0]", "teacher.train.epochs=1", "students[0].train.epochs=2", "search.members=2"),
    *("arms.teacher=[none]", "arms.student=[none]", "arms.distill=[true]"),
]


def test_the_processor_stands_with_the_instructions_that_torch_takes() -> None:
    found = machine()
    (where, _) = machine_facts(found)
    assert found["processor"] and found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert where[1].endswith(f"{found['processor']} with {found['instructions']}")


def test_an_early_release_named_its_cores_alone() -> None:
    assert machine_facts({"cores": 2, "packages": {}}) == [("Machine", "2 cores", False)]


def elsewhere(**changes: Any) -> dict[str, Any]:
    return {**machine(), "device": "cpu", "gpu": None, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"python": "3.0", "cores": 99}, []),  # on these no figure depends
        ({"packages": {"torch": "2.0"}}, [f"torch {machine()['packages']['torch']} and 2.0"]),
        ({"processor": "Other", "instructions": "AVX2"}, ["Other with AVX2"]),
        ({"device": "cuda", "gpu": "One"}, ["devices cpu and cuda"]),
        ({"processor": None, "instructions": None}, []),
    ],
    ids=["nothing", "what does not count", "a version", "a processor", "a device", "an early release"],
)
def test_machines_differ_in_what_figures_depend_on(changes: dict[str, Any], said: list[str]) -> None:
    found = machine_differences(elsewhere(), elsewhere(**changes))
    assert len(found) == len(said) and all(word in line for word, line in zip(said, found, strict=True))


def test_two_kinds_of_gpus_differ_and_their_hosts_do_not() -> None:
    first, second = (elsewhere(device="cuda", gpu=name, processor=name) for name in ("One", "Two"))
    assert machine_differences(first, second) == ["One and Two"]
    assert machine_differences(first, first | {"processor": "Two"}) == []


def test_what_goes_on_elsewhere_is_warned_of(tmp_path: Path) -> None:
    place = tmp_path / "environment.json"
    place.write_text(json.dumps(elsewhere(processor="Other", instructions="AVX2")))
    with pytest.warns(MachineWarning, match=r"begun on another machine.*Other with AVX2 and .*--fresh"):
        warn_of_another_machine(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content in ("{", "[]", json.dumps(elsewhere())):  # damage is named by whoever needs the environment
            place.write_text(content)
            warn_of_another_machine(tmp_path)
        place.unlink()
        warn_of_another_machine(tmp_path)


def test_unlike_workers_are_warned_of_once_each() -> None:
    workers = WorkersMachines(gpus=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workers.add(machine())
        workers.add({**machine(), "gpu": "One"})  # a GPU that nobody computes on
    older = {**machine(), "processor": "Other", "instructions": "AVX2"}
    with pytest.warns(MachineWarning, match=r"workers are on unlike machines.*and Other with AVX2\); .*of one kind"):
        workers.add(older)
    with pytest.warns(MachineWarning, match="torch .* and 2.0"):
        workers.add({**machine(), "packages": {"torch": "2.0"}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workers.add(older)


def test_workers_with_gpus_are_compared_with_each_other() -> None:
    workers = WorkersMachines(gpus=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workers.add(elsewhere(gpu="One"))
        workers.add(elsewhere(gpu="One", processor="Other"))
    with pytest.warns(MachineWarning, match="One and Two"):
        workers.add(elsewhere(gpu="Two"))


def test_a_run_says_it_where_something_is_left_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(HERE / "quick.yaml", SMALL)
    run(config, tmp_path / "r")
    monkeypatch.setattr(machine_record, "machine", lambda: {**machine(), "processor": "Other"})
    run(config, tmp_path / "r")  # nothing is left
    shutil.rmtree(tmp_path / "r/stages/seed0/small-none+distill")
    with pytest.warns(MachineWarning, match="Other with"):
        run(config, tmp_path / "r")
    with pytest.warns(MachineWarning, match="Other with"):  # what is kept was made there
        run(load(HERE / "quick.yaml", [*SMALL, "students[0].train.epochs=1"]), tmp_path / "r", extend=True)


def test_a_study_says_it_where_something_is_left_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(HERE / "study.yaml", ["seeds=[0]", "grid={distill.label_weight: [0.1]}", "measure=[accuracy]"])
    run_study(study, tmp_path / "s", isolate=False)
    monkeypatch.setattr(machine_record, "machine", lambda: {**machine(), "processor": "Other"})
    run_study(study, tmp_path / "s", isolate=False)
    for done in (tmp_path / "s").glob("store/*/done.json"):
        if "measured" in json.loads(done.read_text()):
            shutil.rmtree(done.parent)
    with pytest.warns(MachineWarning, match="Other with"):
        run_study(study, tmp_path / "s", isolate=False)
