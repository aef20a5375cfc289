"""Distillation without data: a student of digits that sees made images alone, and what real ones give."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch
from rolewise.models import build
from rolewise.models.image_generator import ImageGenerator
from rolewise.train import (
    FastDFKDObjective,
    Feed,
    GeneratedFeed,
    OptimizerSettings,
    PoolFeed,
    RateSchedule,
    Trainee,
    TrainSettings,
    Update,
    dafl_objective,
    inverted_images,
    zskt_objective,
)

KINDS = ("real", "noise", "dafl", "zskt", "inversion", "fast_dfkd")


@dataclass
class Digits:
    """Images [N, 1, 8, 8] of mean 0 and variance 1, and their classes."""

    images: torch.Tensor
    labels: torch.Tensor

    def accuracy(self, model: nn.Module) -> float:
        """Returns the fraction of the 797 images right that nobody trains on."""
        with torch.no_grad():
            return (model.eval()(self.images[1000:]).argmax(1) == self.labels[1000:]).float().mean().item()


def read() -> Digits:
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1)
    return Digits((images - images.mean()) / images.std(), torch.tensor(bunch.target))


def teacher_of(digits: Digits, seed: int) -> nn.Module:
    model = build("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=seed, widths=[32, 64])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    draws = torch.Generator().manual_seed(seed)
    for _ in range(20):
        for batch in torch.randperm(1000, generator=draws).split(50):
            functional.cross_entropy(model(digits.images[batch]), digits.labels[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


class Noise(nn.Module):
    """The control of a generator: the noise itself, put into the form of images."""

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return noise.view(-1, 1, 8, 8)


def student_of(kind: str, digits: Digits, teacher: nn.Module, seed: int, steps: int) -> nn.Module:
    """Trains a student on real images, on noise, or on a generator's; each takes as many steps of 64 images."""
    student = build("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=seed + 100, widths=[16, 32])
    torch.manual_seed(seed)
    generator = Noise() if kind == "noise" else ImageGenerator(noise=64, width=32)
    temperature = 20.0 if kind == "fast_dfkd" else 1.0
    distiller = rw.Distiller(teacher, student, rw.kd(temperature=temperature, weight=1.0), label_weight=0)
    every, updates = 1, []
    if kind == "dafl":
        objective = dafl_objective(generator, teacher)
        updates = [Update(objective, torch.optim.Adam(generator.parameters(), lr=1e-3), name="generator")]
    elif kind == "zskt":
        every, objective = 5, zskt_objective(generator, teacher, student)
        updates = [Update(objective, torch.optim.Adam(generator.parameters(), lr=1e-3), every=every, name="generator")]
    feed: Feed = GeneratedFeed(generator, noise=64, batch_size=64, steps=steps // 10, seed=seed, repeats=every)
    if kind == "real":
        draws = torch.Generator().manual_seed(seed)
        feed = Drawn(digits.images[:1000], torch.randint(1000, (steps, 64), generator=draws))
    elif kind == "inversion":
        draws = torch.Generator().manual_seed(seed)
        wanted = torch.randint(10, (256,), generator=draws)
        # A mirror image of a digit is another sign.
        images = inverted_images(
            teacher, wanted, (1, 8, 8), steps=200, seed=seed, statistics=1.0, mirrored=False, jitter=1
        )
        feed = Drawn(images, torch.randint(256, (steps, 64), generator=draws))
    elif kind == "fast_dfkd":
        maker = FastDFKDObjective(
            generator, teacher, student, noise=64, classes=10, batch_size=64, warmup=12, padding=1, mirrored=False
        )
        adam = torch.optim.Adam(generator.parameters(), lr=0.02, betas=(0.5, 0.999))
        updates = [Update(maker, adam, every=5, name="generator")]
        feed = PoolFeed(maker, batch_size=64, steps=steps // 10, seed=seed)
    settings = TrainSettings(
        epochs=10,
        batch_size=64,
        optimizer=OptimizerSettings(name="adam", learning_rate=0.005),
        schedule=RateSchedule(name="cosine"),
    )
    Trainee(distiller, feed, settings=settings, seed=seed, updates=updates).run_epochs(0, 10)
    return student


class Drawn:
    """The feed of images that are there: batches of their rows, without labels."""

    def __init__(self, images: torch.Tensor, rows: torch.Tensor) -> None:
        self.images, self.rows, self.steps = images, rows, len(rows) // 10
        self.counts: dict[str, int] = {}

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of one of ten epochs."""
        for step in range(start, self.steps):
            yield Batch(self.images[self.rows[epoch * self.steps + step]])


def main(steps: int = 600, seeds: int = 1) -> None:
    torch.set_num_threads(1)  # networks as small as these are slower on several
    digits = read()
    for seed in range(seeds):
        teacher = teacher_of(digits, seed)
        print(f"seed {seed}: teacher {digits.accuracy(teacher):.1%}", end="", flush=True)
        for kind in KINDS:
            print(f", {kind} {digits.accuracy(student_of(kind, digits, teacher, seed, steps)):.1%}", end="", flush=True)
        print()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
