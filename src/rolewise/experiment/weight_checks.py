"""Checks of the weights that a config names: before anything is made, whether there are any, and of what kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.tensors import read_head, shapes_in
from rolewise.train.weights import check_fit


def weight_file_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where ``teacher.weights`` names no file of weights; only its head is read."""
    name = config.teacher.weights
    if name is None:
        return
    try:
        read_head(Path(name), "it")
    except InputError as error:
        text = str(error).removeprefix("it ")
        yield ("teacher", "weights"), f"must be a safetensors file, and {name} {text}"


def fit_fault(name: str, network: nn.Module) -> str | None:
    """Returns the fault of a file whose tensors are not those of a network; only the file's head is read.

    Args:
        name: the file.
        network: on any device, ``meta`` among them.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    try:
        check_fit(wanted, shapes_in(Path(name), "it"), Path(name))
    except InputError as error:
        text = str(error).removeprefix(f"weights {Path(name)} ")
        return f"must be of the teacher's network, and those in {name} {text}"
    return None
