"""A few real steps of the student's training: how large each term's gradient is, and how long a step takes."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.advice.case import Case
from rolewise.augment import Schedule
from rolewise.augment import build_schedule as build_augmentation
from rolewise.distill import Distiller, build_methods
from rolewise.inputs import InputSpec
from rolewise.seeds import derive_seed, generator
from rolewise.train import Mixing, RateSchedule, Trainee


@dataclass(frozen=True)
class Pull:
    """The size of a method's gradient.

    Args:
        name: of the term.
        weight: that it was measured with.
        ratio: median over the measurements of its gradient's norm, at that weight, to that of the labels at weight 1.
        measured: number of measurements.
    """

    name: str
    weight: float
    ratio: float
    measured: int


@dataclass(frozen=True)
class Speed:
    """The time of a step.

    Args:
        seconds: of one step, of teacher and student together, with augmentation and mixing.
        batch_size: of the step.
        device: device of the measurement.
    """

    seconds: float
    batch_size: int
    device: str


def pulls(case: Case, spec: InputSpec, methods: Sequence[Mapping[str, Any]]) -> list[Pull]:
    """Measures the gradients of labels and methods along a short training without augmentation.

    Args:
        case: the networks and their images; its student is copied.
        spec: the teacher's input.
        methods: to be measured.
    """
    effort = case.effort
    trainee = _trainee(case, spec, methods, 1.0, build_augmentation("none"), None, effort.measures, effort.steps)
    weights = {method.name: method.weight(0.0) for method in trainee.distiller.methods}
    records = trainee.run_epochs(0, effort.measures, measured=range(effort.measures))
    ratios: dict[str, list[float]] = {}
    for record in records:
        norms = record["gradients"]["terms"]
        for name, norm in norms.items():
            if name in weights and norm is not None and norms.get("labels"):
                ratios.setdefault(name, []).append(norm / norms["labels"])
    return [Pull(name, weights[name], statistics.median(some), len(some)) for name, some in ratios.items()]


def speed(
    case: Case,
    spec: InputSpec,
    methods: Sequence[Mapping[str, Any]],
    label_weight: float,
    augmentation: Schedule,
    mixing: Mixing | None,
) -> Speed:
    """Times the steps of the training that is proposed; the first few, which load and compile things, do not count.

    Args:
        case: the networks and their images; its student is copied.
        spec: the teacher's input.
        methods: of the distillation.
        label_weight: of the labels' term.
        augmentation: of the student's images.
        mixing: of them, or None.
    """
    trainee = _trainee(case, spec, methods, label_weight, augmentation, mixing, 4, case.effort.steps)
    seconds = []
    for epoch in range(4):
        start = time.perf_counter()
        trainee.run_epochs(epoch, epoch + 1)
        if case.device.type == "cuda":
            torch.cuda.synchronize(case.device)
        seconds.append((time.perf_counter() - start) / trainee.steps_per_epoch)
    return Speed(statistics.median(seconds[1:]), trainee.settings.batch_size, str(case.device))


def _trainee(
    case: Case,
    spec: InputSpec,
    methods: Sequence[Mapping[str, Any]],
    label_weight: float,
    augmentation: Schedule,
    mixing: Mixing | None,
    epochs: int,
    steps: int,
) -> Trainee:
    student = copy.deepcopy(case.student).to(case.device)
    for weight in student.parameters():
        weight.requires_grad_(True)
    distiller = Distiller(
        case.teacher,
        student,
        build_methods([dict(method) for method in methods]),
        label_weight=label_weight,
        teacher_input=spec,
        student_input=case.student_input,
        example=case.train.images[:2],
        generator=derive_seed(case.seed, "advice", "adapters"),
        labels=case.train.labels,
    ).to(case.device)
    return Trainee(
        distiller,
        case.train.data(),
        _indices(case, steps),
        augmentation=augmentation,
        settings=case.settings.changed(epochs=epochs, schedule=RateSchedule(name="constant"), compile=False, ema=None),
        seed=derive_seed(case.seed, "advice", "steps"),
        device=case.device,
        mixing=mixing,
    )


def _indices(case: Case, steps: int) -> Tensor:
    """Returns images for so many steps, each as often as it takes."""
    wanted = steps * case.settings.batch_size
    order = torch.randperm(len(case.train), generator=generator(case.seed, "advice", "steps"))
    return order.repeat(-(-wanted // len(order)))[:wanted]
