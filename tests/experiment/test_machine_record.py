"""The record of the machine: on the page, and where a run goes on elsewhere."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from rolewise.config import load_experiment_config
from rolewise.experiment import machine_record
from rolewise.experiment.machine_record import MachineWarning, machine, machine_differences, warn_of_another_machine
from rolewise.experiment.run_folder import open_run
from rolewise.report.facts import machine_facts
from rolewise.study.study_folder import open_study
from rolewise.study.study_run import load_study

HERE = Path(__file__).parent


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


def test_an_unfinished_run_that_goes_on_elsewhere_says_so(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps(elsewhere(processor="Other", instructions="AVX2")))
    with pytest.warns(MachineWarning, match=r"begun on another machine.*Other with AVX2 and .*--fresh"):
        warn_of_another_machine(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tmp_path / "report.html").write_text("a page")  # nothing is left to train
        warn_of_another_machine(tmp_path)
        (tmp_path / "report.html").unlink()
        (tmp_path / "environment.json").write_text("{")  # named by whoever reads it
        warn_of_another_machine(tmp_path)
        (tmp_path / "environment.json").write_text(json.dumps(elsewhere()))
        warn_of_another_machine(tmp_path)


@pytest.mark.parametrize("kind", ["run", "study"])
def test_it_is_said_where_a_folder_is_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"run": "stages", "study": "store"}[kind]

    def opened() -> None:
        if kind == "run":
            open_run(tmp_path / "made", load_experiment_config(HERE / "quick.yaml"))
        else:
            open_study(tmp_path / "made", load_study(HERE / "study.yaml"))

    opened()
    work = tmp_path / "made" / stages / "seed0" / "teacher-own"
    work.mkdir(parents=True)
    (work / "record.jsonl").write_text("{}\n")
    opened()  # on the same machine
    monkeypatch.setattr(machine_record, "machine", lambda: {**machine(), "processor": "Other"})
    with pytest.warns(MachineWarning, match="Other with"):
        opened()
