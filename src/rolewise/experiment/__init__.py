"""Experiments: from a config to a run folder with results and a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rolewise.config import ExperimentConfig
from rolewise.config import load_experiment_config as _load
from rolewise.experiment.pipeline import run
from rolewise.experiment.trial import trial_of


def load(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    imports: bool = True,
    on_note: Callable[[str], None] | None = None,
) -> ExperimentConfig:
    """Reads an experiment, checks every name in it, and tries every network, method and bit width once.

    Modules that it names by ``package.module:name`` are imported; they are looked for beside the file and in the
    current folder too.

    Args:
        path: the YAML file.
        overrides: settings such as ``students[0].train.epochs=5``.
        imports: whether code that the file names by ``package.module:name`` is imported; without it, nothing that
            depends on that code is checked, and a note lists the settings that were left out.
        on_note: called with each remark that is no fault; by default it is a warning.

    Raises:
        ConfigError: all faults in one go.
    """
    with trial_of(path, on_note, imports=imports) as trial:
        return _load(path, overrides, check=trial.check, on_note=trial.tables.append)


__all__ = ["load", "run"]
