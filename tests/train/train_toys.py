"""A small training to try things on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rolewise.augment import build_schedule
from rolewise.batch import Batch, Context, Outputs
from rolewise.data import ImageData
from rolewise.distill import Distiller, average_of, configure
from rolewise.distill.method import Info, Method
from rolewise.distill.term import Shapes, Term
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, Update

SPEC = InputSpec((0.3,), (0.4,))


def data(count: int = 60) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
    images += (labels.view(-1, 1, 1, 1) * 60).int()
    return ImageData(images.to(torch.uint8), labels, ("a", "b", "c"))


def trainee(
    optimizer: str = "sgd",
    *,
    distilled: bool = True,
    epochs: int = 4,
    rate: float = 0.02,
    view: str = "shared",
    **settings,
) -> Trainee:
    student = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    teacher = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8]) if distilled else None
    methods = [configure("kd", weight=0.9), configure("fitnets", weight=0.1)] if distilled else []
    inputs = {"teacher_input": SPEC} if distilled else {}
    distiller = Distiller(teacher, student, methods, student_input=SPEC, example=data().images[:2], **inputs)
    return Trainee(
        distiller,
        data(),
        torch.arange(60),
        augmentation=build_schedule("randaugment"),
        teacher_augmentation=build_schedule("trivialaugment"),
        view=view,
        settings=TrainSettings(
            epochs=epochs, batch_size=16, optimizer=OptimizerSettings(name=optimizer, learning_rate=rate), **settings
        ),
        seed=5,
    )


class Remembered(Term):
    """Pulls each example's logits towards those of its steps before, and of one that it draws; a memory of all."""

    needs_indices = True
    rows: Tensor

    def __init__(self, shapes: Shapes, *, momentum: float = 0.5) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("rows", torch.zeros(60, 3))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        drawn = torch.randint(60, (len(batch.indices),), generator=context.generator("remembered"))
        aims = self.rows[batch.indices] + 0.1 * self.rows[drawn] + teacher.logits
        return (student.logits - aims).square().mean(1)

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        self.rows[batch.indices] = self.momentum * self.rows[batch.indices] + (1 - self.momentum) * student.logits


def several(**settings: Any) -> Trainee:
    """A trainee of two students that teach each other, a teacher, one that follows a student, and a memory."""
    size = {"num_classes": 3, "channels": 1, "size": (8, 8)}
    a, b, big = (network("small_cnn", **size, seed=seed, widths=[4, 6]) for seed in (1, 2, 3))
    methods = [
        configure("kd", student="a", teacher="b", name="a_from_b"),
        configure("kd", student="b", teacher="a", name="b_from_a", weight=0.5),
        configure("fitnets", student="a", teacher="big", weight=0.1),
        configure("kd", student="b", teacher="mean", name="b_from_mean"),
        Method(Info("remembered", Remembered, "logits", "sound"), student="a", teacher="big"),
    ]
    distiller = Distiller(
        {"big": big, "mean": average_of("b", 0.5)},
        {"a": a, "b": b},
        methods,
        teacher_input=SPEC,
        student_input=SPEC,
        example=Batch(data().images[:2], indices=torch.arange(2)),
        examples=60,
    )
    epochs = settings.pop("epochs", 3)
    return Trainee(
        distiller,
        data(),
        torch.arange(60),
        augmentation=build_schedule("randaugment"),
        settings=TrainSettings(
            epochs=epochs, batch_size=8, optimizer=OptimizerSettings(name="adam", learning_rate=0.01), **settings
        ),
        seed=5,
    )


def weights(made: Trainee) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in made.distiller.state_dict().values()])


def update(distiller: Distiller, lr: float = 0.05, momentum: float = 0.9) -> Update:
    return Update(distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=lr, momentum=momentum))


def batch(start: int = 0, size: int = 16) -> Batch:
    source = data()
    rows = torch.arange(start, start + size)
    return Batch(source.images[rows], source.labels[rows], rows)


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)
