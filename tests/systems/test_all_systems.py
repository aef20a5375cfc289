"""Every system in a short form, killed in the middle of its work and resumed to the same bytes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from rolewise.jobs.worker_process import start_context
from rolewise.systems import SYSTEMS, run_system

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")]
SHORT = {
    "beyond_compression": ['conditions=["wrong labels"]', 'methods=["labels","kd"]', "images=50", "epochs=1"],
    "ce_gan": ["generations=3", "hidden=8"],
    "ctsl_mkt": ["images=60", "epochs=1"],
    "fedgen": ["rounds=3", "generator_steps=5", 'methods=["fedavg","fedgen"]', "target=0.2"],
    "kd3": ["irrelevant=photographs", "others=100", "epochs=2", "teacher_epochs=5", "shift=0.1"],
    "hkd": ["data=digits", "images=100", "teacher_images=200", "epochs=1", "teacher_epochs=1", "negatives=16"],
    "ikd": ["data=shapes", "size=[48,64]", "sides=[14,24]", "images=8", "epochs=1", "teacher_epochs=1", "neck=4"],
    "knowledge_levels": ["groups=2", "classes=2", "width=8", "epochs=10"],
    "learning_styles": ["images=40", "epochs=1", "teacher_epochs=1"],
    "multi_view": ["networks=2", "steps=20", "most_steps=20", "least_training_accuracy=0", "digit_epochs=3"],
    "pwkd": ["parts=[0.5,1]", "images=60", "epochs=2", "teacher_epochs=1"],
    "quadratic": ["weights=[1]", "images=60", "epochs=2", "teacher_epochs=1", "growing_epochs=1"],
    "srd_open_set": ["steps=3", "teacher_epochs=1"],
    "stkd": ["seeds=[0]", "images=60", "epochs=2", "teacher_epochs=1"],
}


def test_every_system_has_a_short_form() -> None:
    assert set(SHORT) == set(SYSTEMS)


@pytest.mark.parametrize("name", list(SHORT))
def test_a_killed_system_resumes_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    settings = ["seeds=[0,1]", *SHORT[name]]  # the last one of a setting holds
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run_system(name, whole, settings, workers=1)
    # From the server of this process, which has torch loaded: what is killed is the work and no start.
    process = start_context("rolewise.systems").Process(  # type: ignore[attr-defined]
        target=run_system, args=(name, cut, settings), kwargs={"workers": 1}
    )
    process.start()
    try:
        until = time.monotonic() + 240
        while not list(cut.glob("pieces/*.json")) and process.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        process.kill()
        process.join()
    assert list(cut.glob("pieces/*.json")), "it ended before its first piece"
    # One worker: that several give the same is a test of `run_system`, and each takes seconds to start.
    run_system(name, cut, settings, workers=1)
    for file in ("results.json", "results.csv"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes()
    pieces = sorted(path.name for path in whole.glob("pieces/*"))
    assert pieces == sorted(path.name for path in cut.glob("pieces/*"))
    assert all((cut / "pieces" / one).read_bytes() == (whole / "pieces" / one).read_bytes() for one in pieces)
