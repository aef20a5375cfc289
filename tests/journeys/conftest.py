"""The journeys by the package as it is installed: .ci/run puts the built wheel on the path and names its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _from_the_wheel() -> None:
    """Where ROLEWISE_INSTALLED names a folder, it is the package in there that a journey is made with."""
    import rolewise

    folder = os.environ.get("ROLEWISE_INSTALLED")
    if folder and not Path(rolewise.__file__).resolve().is_relative_to(Path(folder).resolve()):
        pytest.fail(f"rolewise must be the package in {folder}, got {rolewise.__file__}; put the folder on PYTHONPATH")
