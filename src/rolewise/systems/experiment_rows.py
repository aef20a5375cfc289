"""A piece of a system that an ordinary experiment does: a config that lies beside the system, and settings over it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.jobs.job import JobContext
from rolewise.systems.system import Row


def experiment_rows(path: Path, settings: Sequence[str], levels: Mapping[str, str], context: JobContext) -> list[Row]:
    """Runs an experiment of one seed, and returns a row for each student of its arms.

    Nothing of its folder is kept: the piece's rows are.

    Args:
        path: the config.
        settings: settings that are laid over it; they choose one seed and one arm.
        levels: the levels of the rows.
        context: the surroundings; a stop ends the experiment.

    Returns:
        For each arm the levels, ``student`` and the metrics on the test set.
    """
    config = load(path, settings, on_note=lambda note: None)

    def go_on(update: Any) -> None:
        if context.should_stop():
            raise Interrupted("stopped in an experiment")

    with tempfile.TemporaryDirectory() as folder:
        results = run(config, Path(folder) / "run", on_update=go_on)
    return [
        {
            **levels,
            "student": arm["student"],
            **{key: next(iter(values.values())) for key, values in arm["metrics"].items()},
        }
        for arm in results["arms"]
    ]
