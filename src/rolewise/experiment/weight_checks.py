"""Checks of the weights that a config names: before anything is made, whether there are any, and of what kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.tensors import read_head


def check_weights(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where ``teacher.weights`` names no file of weights; only its head is read."""
    name = config.teacher.weights
    if name is None:
        return
    try:
        read_head(Path(name), "it")
    except InputError as error:
        text = str(error).removeprefix("it ")
        yield ("teacher", "weights"), f"must be a safetensors file, and {name} {text}"
