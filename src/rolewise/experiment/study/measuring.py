"""Measuring a trained network on the test set, at the end of a study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.analysis.measurements import measure_of
from rolewise.config.axes import COLUMNS
from rolewise.data import Source, batches
from rolewise.errors import InputError, RunError
from rolewise.experiment import builders
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.graph import Stage
from rolewise.experiment.stages import section_of, trained_network
from rolewise.experiment.world import world
from rolewise.inputs import InputSpec, prepare

#: That of `rolewise.train.evaluate`, so that a study and a run give the same numbers to the last digit.
_BATCH = 512


@dataclass(frozen=True)
class TestBatches:
    """Part of a source as a network wants it; may be gone through again and again.

    Args:
        source: where the images are.
        indices: int64 [N], which of them.
        spec: what the network is fed.
        device: where the network is.
    """

    source: Source
    indices: Tensor
    spec: InputSpec
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches(self.source, self.indices, _BATCH, device=self.device):
            yield prepare(batch.images, self.spec), batch.labels


def measured(run: RunFolder, stage: Stage, names: Sequence[str]) -> dict[str, Any]:
    """Opens the test set and measures the network of a finished training at its last epoch.

    Args:
        run: a cell's folder.
        stage: the training.
        names: of the measurements.

    Returns:
        ``measured``, by measurement and column, and ``test_images``.

    Raises:
        InputError: a measurement is unknown, or takes the name of another column.
        RunError: a measurement gave something else than finite numbers.
    """
    config = run.config()
    here = world(config, stage.seed, builders.device_of(config.device))
    model = trained_network(run, here, stage)
    opened = here.test.open(f"the end of {config.name}, seed {stage.seed}")
    spec = here.spec(section_of(config, stage.role).model)
    test = TestBatches(opened.source, opened.indices, spec, here.device)
    found: dict[str, dict[str, float]] = {}
    for name in names:
        values = {column: float(value) for column, value in measure_of(name)(model.eval(), test).items()}
        taken = {column for other in found.values() for column in other}
        for column, value in values.items():
            if column in taken or (name != "accuracy" and column in COLUMNS):
                raise InputError(
                    f"the measurement {name!r} must name its columns itself, got {column!r}, which is taken"
                )
            if not math.isfinite(value):
                raise RunError(f"the measurement {name!r} gave {column} = {value}")
        found[name] = values
    return {"measured": found, "test_images": len(opened.indices)}
