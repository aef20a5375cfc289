"""Experiments: from a config to a run folder with results and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rolewise.config import ExperimentConfig
from rolewise.config import load as _load
from rolewise.experiment.checks import check
from rolewise.experiment.pipeline import run


def load(path: Path | str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Reads an experiment and checks every name in it.

    Args:
        path: the YAML file.
        overrides: settings such as ``students[0].train.epochs=5``.

    Raises:
        ConfigError: all faults in one go.
    """
    return _load(path, overrides, check=check)


__all__ = ["load", "run"]
