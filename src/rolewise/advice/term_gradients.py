"""The gradients of methods and labels in the first steps of a student of any task."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from rolewise.advice.case import Effort
from rolewise.advice.gradient_probe import Pull
from rolewise.config.network_sections import StudentSection
from rolewise.experiment import builders
from rolewise.experiment.second_view import plain_views
from rolewise.experiment.seed_data import SeedData
from rolewise.inputs import InputSpec
from rolewise.seeds import derive_seed, generator
from rolewise.train import RateSchedule, Trainee


def term_pulls(
    data: SeedData,
    section: StudentSection,
    teacher: nn.Module,
    student: nn.Module,
    methods: Sequence[Mapping[str, Any]],
    spec: InputSpec | None,
    effort: Effort,
) -> list[Pull]:
    """Measures the gradients of labels and methods along a short training without augmentation.

    Args:
        data: of the seed.
        section: the student's, of the config.
        teacher: frozen meanwhile.
        student: its network, which is copied.
        methods: to be measured.
        spec: the teacher's input, faults undone; None for texts.
        effort: number of measurements and steps between them.

    Returns:
        For each method its gradient's norm to that of the term ``labels`` at weight 1.
    """
    model = data.config.teacher.model
    if spec is not None:
        model = model.model_copy(update={"mean": spec.mean, "std": spec.std})
    distill = data.config.distill.model_copy(update={"methods": tuple(methods), "label_weight": 1.0})
    changes = {"distill": distill, "teacher": data.config.teacher.model_copy(update={"model": model})}
    seen = SeedData(
        data.config.model_copy(update=changes),
        data.seed,
        data.device,
        data.source,
        data.train,
        data.validation,
        data.test,
        data.folder,
    )
    copied = copy.deepcopy(student).to(data.device)
    for weight in copied.parameters():
        weight.requires_grad_(True)
    rows = data.final_indices(section.images, unseen=True)
    distiller = builders.distiller(seen, section.model_copy(update={"phases": ()}), copied, teacher, rows)
    settings = builders.train_settings(section.train, data.config)
    settings = settings.changed(epochs=effort.measures, schedule=RateSchedule(name="constant"), compile=False, ema=None)
    wanted = effort.steps * settings.batch_size
    order = torch.randperm(len(rows), generator=generator(data.seed, "advice", "steps"))
    trainee = Trainee(
        distiller,
        data.source,
        rows[order.repeat(-(-wanted // len(order)))[:wanted]],
        **plain_views(data.config, distilled=True),
        settings=settings,
        seed=derive_seed(data.seed, "advice", "steps"),
        device=data.device,
    )
    weights = {method.name: method.weight(0.0) for method in distiller.methods}
    ratios: dict[str, list[float]] = {}
    for record in trainee.run_epochs(0, effort.measures, measured=range(effort.measures)):
        norms = record["gradients"]["terms"]
        for name, norm in norms.items():
            if name in weights and norm is not None and norms.get("labels"):
                ratios.setdefault(name, []).append(norm / norms["labels"])
    return [Pull(name, weights[name], statistics.median(some), len(some)) for name, some in ratios.items()]
