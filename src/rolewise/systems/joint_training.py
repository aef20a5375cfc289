"""Training of several students at once, with or without a teacher, which the systems of peers share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rolewise.config.training_sections import OptimizerSettings, RateSchedule, TrainSettings
from rolewise.distill import Distiller
from rolewise.distill.method import Method
from rolewise.errors import Interrupted
from rolewise.jobs.job import JobContext
from rolewise.seeds import derive_seed
from rolewise.tasks import Task
from rolewise.train import TensorFeed, Trainee


def train_together(
    teacher: nn.Module | None,
    students: Mapping[str, nn.Module],
    methods: list[Method],
    examples: tuple[Tensor, Tensor],
    epochs: int,
    context: JobContext,
    *,
    seed: int,
    batch_size: int = 50,
    learning_rate: float = 0.02,
    label_weight: float = 1.0,
    task: Task | None = None,
) -> None:
    """Trains all students at once by Adam under a cosine, and leaves them in eval mode.

    Args:
        teacher: it is frozen, and has the role ``teacher``; None for none.
        students: by role; they are trained in place.
        methods: between the roles.
        examples: inputs and targets.
        epochs: passes over them.
        context: the surroundings; a stop ends the training.
        seed: of the order and of learned parts.
        batch_size: examples of a step.
        learning_rate: the highest.
        label_weight: weight of each student's own loss.
        task: kind of prediction; classification by default.
    """
    distiller = Distiller(
        None if teacher is None else {"teacher": teacher},
        students,
        methods,
        label_weight=label_weight,
        example=examples[0][:2],
        generator=derive_seed(seed, "joint training", "maps"),
        task=task,
    )
    settings = TrainSettings(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=OptimizerSettings(name="adam", learning_rate=learning_rate),
        schedule=RateSchedule(name="cosine"),
    )
    feed = TensorFeed(*examples, batch_size, seed=seed, device=torch.device("cpu"))
    trainee = Trainee(distiller, feed, settings=settings, seed=seed)
    for epoch in range(epochs):
        if context.should_stop():
            raise Interrupted("stopped while students were trained")
        trainee.run_epochs(epoch, epoch + 1)
    for student in students.values():
        student.eval()
