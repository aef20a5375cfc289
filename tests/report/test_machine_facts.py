"""The facts of the machine that a page shows, of a present release and of an early one."""

from __future__ import annotations

import torch

from rolewise.experiment.run_record import machine
from rolewise.report.facts import machine_facts


def test_the_processor_stands_with_the_instructions_that_torch_takes() -> None:
    found = machine()
    (where, _) = machine_facts(found)
    assert found["processor"] and found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert where[1].endswith(f"{found['processor']} with {found['instructions']}")


def test_an_early_release_named_its_cores_alone() -> None:
    assert machine_facts({"cores": 2, "packages": {}}) == [("Machine", "2 cores", False)]
