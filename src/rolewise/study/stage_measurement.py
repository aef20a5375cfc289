"""Measuring a trained network on the test set, at the end of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.config.axes import COLUMNS
from rolewise.config.cell_rules import ALWAYS
from rolewise.config.measure_entries import MeasureEntry
from rolewise.data import Opened, Source, batches
from rolewise.data.text_source import is_text
from rolewise.errors import InputError, RunError
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import find_stage, trained_network
from rolewise.files import number_or_null
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.measure_call import call_measure
from rolewise.instruments.measurements import measure_of
from rolewise.metric_info import CLASS_METRICS
from rolewise.seeds import generator
from rolewise.train import evaluate

#: That of `rolewise.train.evaluate`, so that a study and a run give the same numbers to the last digit.
_BATCH = 512


@dataclass(frozen=True)
class NetworkImages:
    """Part of a source as a network wants it, or in levels; may be gone through again and again.

    Args:
        source: the source of the images, or of texts.
        indices: int64 [N], which of them.
        spec: the network's input; None for uint8 images, and for texts.
        device: the network's device.
    """

    source: Source
    indices: Tensor
    spec: InputSpec | None
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        for batch in batches(self.source, self.indices, _BATCH, device=self.device):
            yield batch.images if self.spec is None else prepare(batch.images, self.spec), batch.labels


def measured(run: RunFolder, stage: Stage, wanted: Sequence[MeasureEntry]) -> dict[str, Any]:
    """Opens the test set and measures the network of a finished training at its last epoch.

    Args:
        run: a cell's folder.
        stage: the training.
        wanted: the measurements.

    Returns:
        ``measured``, by measurement and column, and ``test_images``.

    Raises:
        InputError: a measurement is unknown, or takes the name of another column.
        RunError: a measurement gave something else than finite numbers.
    """
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    model = trained_network(run, data, stage)
    opened = data.test.open(f"the end of {config.name}, seed {stage.seed}")
    spec = data.spec(section_of(config, stage.role).model)
    source = data.seen_by(stage.role, opened.source)
    test = NetworkImages(source, opened.indices, spec, data.device)
    task = builders.configured_task(config)
    found: dict[str, dict[str, float | None]] = {}
    for one in wanted:
        name = one.name
        if name == ALWAYS and task.metrics != CLASS_METRICS:
            # The config's metrics, or those of another task, take the place of accuracy.
            metrics = evaluate(model, source, opened.indices, spec, device=data.device, task=task)
            values = {key: number_or_null(value) for key, value in metrics.values.items()}
        else:
            values = call_measure(
                measure_of(name), model.eval(), test, offered(run, data, stage, opened, name), one.settings
            )
        taken = {column for other in found.values() for column in other}
        for column, value in values.items():
            if column in taken or (name != ALWAYS and column in COLUMNS):
                raise InputError(
                    f"the measurement {name!r} must name its columns itself, got {column!r}, which is taken"
                )
            if value is not None and not math.isfinite(value):
                raise RunError(f"the measurement {name!r} gave {column} = {value}")
        found[name] = values
    return {"measured": found, "test_images": len(opened.indices)}


def offered(run: RunFolder, data: SeedData, stage: Stage, opened: Opened, name: str) -> dict[str, Callable[[], Any]]:
    """Returns the inputs on offer to a measurement (`rolewise.instruments.measure_call.OFFERED`), each made when it is.

    Args:
        run: a cell's folder.
        data: the data of the stage's seed.
        stage: the training whose network is measured.
        opened: the test set.
        name: of the measurement: its random stream is its own, whatever else is measured.
    """
    spec = data.spec(section_of(data.config, stage.role).model)
    found: dict[str, Callable[[], Any]] = {
        "validation": lambda: NetworkImages(data.seen_by(stage.role), data.validation, spec, data.device),
        "generator": lambda: generator(stage.seed, "measurement", name),
    }
    if not is_text(opened.source):
        found["pixels"] = lambda: NetworkImages(opened.source, opened.indices, None, data.device)
        found["spec"] = lambda: spec
    if stage.teacher is not None:
        teacher = find_stage(data.config, stage.teacher)
        teacher_spec = data.spec(section_of(data.config, teacher.role).model)
        found["teacher"] = lambda: trained_network(run, data, teacher)
        theirs = data.seen_by(teacher.role, opened.source)
        found["teacher_batches"] = lambda: NetworkImages(theirs, opened.indices, teacher_spec, data.device)
    return found
