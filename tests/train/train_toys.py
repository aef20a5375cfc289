"""A small training to try things on."""

from __future__ import annotations

import torch

from rolewise.augment import build_schedule
from rolewise.batch import Batch
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
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


def weights(made: Trainee) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in made.distiller.state_dict().values()])


def update(distiller: Distiller, lr: float = 0.05, momentum: float = 0.9) -> Update:
    return Update(distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=lr, momentum=momentum))


def batch(start: int = 0, size: int = 16) -> Batch:
    source = data()
    rows = torch.arange(start, start + size)
    return Batch(source.images[rows], source.labels[rows], rows)
