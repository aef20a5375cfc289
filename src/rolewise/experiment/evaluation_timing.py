"""Timings of evaluations and of metrics on this machine, on a few images and networks as they are drawn."""

from __future__ import annotations

import torch

from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import SeedData
from rolewise.metric_info import ACCURACY
from rolewise.seeds import generator
from rolewise.statistics.resampling import bootstrap_weights
from rolewise.tasks.detection import Detection
from rolewise.tasks.protocol import Task
from rolewise.train import evaluate
from rolewise.train.arithmetic import typical_seconds

#: As many images as one evaluation takes at once.
_EVALUATED = 512
#: As many images as a metric is computed of.
_RESAMPLED = 128
#: As many images as a detector is timed on.
_DETECTED = 24


def evaluating_seconds(data: SeedData, role: str) -> float:
    """Returns seconds for one image of an evaluation of a role's network."""
    section = section_of(data.config, role)
    model = builders.at_bits(section, data.network(section.model, role)).to(data.device)
    spec = data.spec(section.model)
    task, chosen = _timed_task(data, _EVALUATED)

    def step() -> None:
        evaluate(model, data.seen_by(role), chosen, spec, device=data.device, task=task)

    return typical_seconds(step, data.device) / len(chosen)


def resampling_seconds(data: SeedData, role: str) -> float:
    """Returns seconds for one image of a metric that is computed on a resample; 0 where it is a mean of images."""
    task, chosen = _timed_task(data, _RESAMPLED)
    if task.metrics[0] == ACCURACY:
        return 0.0
    section = section_of(data.config, role)
    model = builders.at_bits(section, data.network(section.model, role)).to(data.device)
    spec = data.spec(section.model)
    measured = evaluate(model, data.seen_by(role), chosen, spec, device=data.device, task=task).metric
    if measured.per_example() is not None:
        return 0.0
    weights = bootstrap_weights(len(chosen), generator(data.seed, "estimate"))
    return typical_seconds(lambda: measured.compute(weights), data.device) / len(chosen)


def _timed_task(data: SeedData, most: int) -> tuple[Task, torch.Tensor]:
    """Returns the task, and the images that it is timed on.

    A detector as it is drawn is sure of no box. All that it names count here, about as many as a trained one's, and as
    each of its images takes long, few do.
    """
    task = builders.configured_task(data.config)
    own = getattr(task, "unmeasured", task)
    if isinstance(own, Detection):
        own.score, most = 0.0, _DETECTED
    return task, data.validation[:most]
