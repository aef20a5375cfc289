"""A small experiment on a folder of photographs, run once for all tests beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest
from photo_toys import CONFIG, photographs

from rolewise.experiment import load, run


@pytest.fixture(scope="session")
def photo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, trained and not tested; its photographs are in ``photos`` beside it."""
    root = tmp_path_factory.mktemp("photographs")
    photographs(root / "photos", 10)
    config = root / "photos.yaml"
    config.write_text(CONFIG.replace("ROOT", str(root / "photos")))
    run(load(config), root / "run", only=lambda stage: stage.kind != "test")
    return root / "run"


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a run's data may be read."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("the run's data were read")

    for name in ("seed_data_of", "check_origin"):
        monkeypatch.setattr(f"rolewise.experiment.stage_network.{name}", refuse)
