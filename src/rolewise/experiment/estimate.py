"""How long an experiment will take: a few steps of each network are timed before anything starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch.nn import functional

from rolewise.config.schema import ExperimentConfig
from rolewise.distill.taps import logits_of
from rolewise.experiment import builders
from rolewise.experiment.graph import Stage
from rolewise.experiment.stages import section_of
from rolewise.experiment.world import World, world
from rolewise.inputs import prepare
from rolewise.threads import torch_threads

_STEPS = 3


def estimated_seconds(config: ExperimentConfig, todo: Iterable[Stage], images: dict[str, int], workers: int) -> float:
    """Returns roughly how long stages will take.

    Times forward and backward passes of each role's network, and the teacher's forward pass where it teaches, on one
    batch; the fastest of a few counts. Augmentation, validation and writing are left out.

    Args:
        config: the experiment.
        todo: the stages that are to run.
        images: how many images each trains on.
        workers: processes that train side by side.
    """
    stages = [stage for stage in todo if stage.kind != "test" and images[stage.name]]
    if not stages:
        return 0.0
    here = world(config, config.seeds[0], builders.device_of(config.device))
    with torch_threads(config.threads):
        training = {role: training_seconds(here, role) for role in dict.fromkeys(stage.role for stage in stages)}
        asking = asking_seconds(here) if any(stage.distilled for stage in stages) else 0.0
    each = [images[stage.name] * (training[stage.role] + asking * stage.distilled) for stage in stages]
    return sum(each) / min(workers, len(each))


def training_seconds(here: World, role: str) -> float:
    """Returns seconds for one image of a role's training."""
    section = section_of(here.config, role)
    model = builders.at_bits(section, here.network(section.model, role)).to(here.device).train()
    batch, labels = _batch(here, section.train.batch_size)
    inputs = prepare(batch, here.spec(section.model))

    def step() -> None:
        torch.autograd.backward(functional.cross_entropy(logits_of(model(inputs)), labels))

    return _fastest(step, here.device) / len(batch)


def asking_seconds(here: World) -> float:
    """Returns seconds for one image that the teacher is asked about."""
    section = here.config.teacher
    model = here.network(section.model, "teacher").to(here.device).eval()
    batch, _ = _batch(here, here.config.students[0].train.batch_size)
    inputs = prepare(batch, here.spec(section.model))

    @torch.no_grad()
    def step() -> None:
        logits_of(model(inputs))

    return _fastest(step, here.device) / len(batch)


def _batch(here: World, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = here.train[: max(2, min(size, len(here.train)))]
    return here.source.batch(chosen).to(here.device), here.source.labels[chosen].to(here.device)


def _fastest(step: Callable[[], None], device: torch.device) -> float:
    seconds = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
