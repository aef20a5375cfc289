"""Checks of a config's trainings that record CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.train.graphs import graph_fault


def graph_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for each training that would record graphs on a device that has none.

    Args:
        config: the experiment. With ``device: auto`` it runs on a GPU of CUDA where there is one.
    """
    kind = config.device.partition(":")[0]
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if kind == "auto" else kind
    if fault := graph_fault(config.teacher.train, kind):
        yield ("teacher", "train", "compile"), fault
    for index, student in enumerate(config.students):
        if fault := graph_fault(student.train, kind):
            yield ("students", index, "train", "compile"), fault
