"""A small finished run that the tests of pages share: training it takes longer than looking at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.experiment import load, run

QUICK = Path(__file__).parent.parent / "experiment" / "quick.yaml"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run with two augmentations, with and without distillation."""
    folder = tmp_path_factory.mktemp("run") / "quick"
    run(load(QUICK, ["arms.student=[none, own]", "name=quick-report"]), folder)
    return folder
