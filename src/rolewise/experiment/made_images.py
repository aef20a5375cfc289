"""The images that a student without data sees: a generator of them, its loss, and the feed of batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rolewise.config.data_free_section import DataFreeSection
from rolewise.config.network_sections import StudentSection
from rolewise.distill import Distiller
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.stage_graph import Stage
from rolewise.models.image_generator import ImageGenerator
from rolewise.seeds import derive_seed
from rolewise.train import (
    FastDFKDObjective,
    Feed,
    GeneratedFeed,
    PoolFeed,
    Trainee,
    TrainSettings,
    Update,
    dafl_objective,
    zskt_objective,
)

#: The maker of each method's objective, and the steps of the student for each of its own.
MAKERS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "dafl": (dafl_objective, 1),
    "zskt": (zskt_objective, 10),
    "fast_dfkd": (FastDFKDObjective, 400),
}
#: What a run gives them itself.
_GIVEN = ("noise", "classes", "batch_size")
#: The name of the generator's update, before its terms in a record.
GENERATOR = "generator"


@dataclass(frozen=True)
class MadeImages:
    """A maker of a student's images.

    Args:
        feed: of the batches.
        update: of the generator.
    """

    feed: Feed
    update: Update


def maker_settings(method: str) -> dict[str, Any]:
    """Returns the settings of a method with their defaults.

    Args:
        method: key of `MAKERS`.
    """
    parameters = inspect.signature(MAKERS[method][0]).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in _GIVEN}


def made_images(
    section: DataFreeSection,
    teacher: nn.Module,
    student: nn.Module,
    *,
    shape: tuple[int, int, int],
    classes: int,
    batch_size: int,
    seed: int,
    device: torch.device | str,
) -> MadeImages:
    """Builds the generator of a student's images, with its feed and its update.

    Args:
        section: of the config.
        teacher: the network that teaches, on the device.
        student: the network that learns, likewise.
        shape: (C, H, W) of the images, as networks see them.
        classes: K.
        batch_size: of the student's training.
        seed: of the generator's first weights and all noise.
        device: of the generator.

    Raises:
        InputError: a setting is out of its range, or the teacher lacks what the method needs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, GENERATOR))
        generator = ImageGenerator(section.noise, shape[0], shape[1:], section.width).to(device)
    make, usual = MAKERS[section.method]
    every, fast = section.every or usual, section.method == "fast_dfkd"
    networks = (teacher,) if section.method == "dafl" else (teacher, student)
    given = {"noise": section.noise, "classes": classes, "batch_size": batch_size} if fast else {}
    objective = make(generator, *networks, **given, **section.settings)
    betas = (0.5, 0.999) if fast else (0.9, 0.999)
    optimizer = torch.optim.Adam(generator.parameters(), lr=section.learning_rate, betas=betas)
    update = Update(objective, optimizer, every=every, name=GENERATOR)
    if fast:
        return MadeImages(PoolFeed(objective, batch_size=batch_size, steps=section.steps, seed=seed), update)
    repeats = every if section.method == "zskt" else 1
    feed = GeneratedFeed(
        generator, noise=section.noise, batch_size=batch_size, steps=section.steps, seed=seed, repeats=repeats
    )
    return MadeImages(feed, update)


def learns_without_data(section: StudentSection, stage: Stage) -> bool:
    """Returns whether a network sees made images alone in a training.

    Args:
        section: of the network.
        stage: the training.
    """
    return stage.distilled and section.data_free is not None


def trainee_on_made_images(
    distiller: Distiller, data: SeedData, stage: Stage, section: StudentSection, settings: TrainSettings
) -> Trainee:
    """Returns the training of a student without data.

    Args:
        distiller: its loss, whose networks take images as they are made.
        data: of the run's seed; its images give their shape alone.
        stage: the training.
        section: of the student.
        settings: of the training.
    """
    assert section.data_free is not None
    seed, size = derive_seed(stage.seed, stage.role, "training"), data.source.batch(data.train[:1]).shape[2:]
    made = made_images(
        section.data_free,
        next(iter(distiller.teachers.values())),
        next(iter(distiller.students.values())),
        shape=(data.pixel_spec(section.model).channels, size[0], size[1]),
        classes=data.num_classes,
        batch_size=section.train.batch_size,
        seed=seed,
        device=data.device,
    )
    return Trainee(distiller, made.feed, settings=settings, seed=seed, device=data.device, updates=[made.update])
