"""The case of an advice: two networks, their images, and the student's training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.advice.advice_section import AdviceSection
from rolewise.augment import PRESETS, Schedule
from rolewise.augment import build_schedule as build_augmentation
from rolewise.data import ImageData, Source
from rolewise.diagnosis.teacher_case import LONG
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.seeds import derive_seed, generator
from rolewise.train import TrainSettings

#: Presets that are measured where nobody names others.
CANDIDATES = ("none", "standard", "cutout", "randaugment", "trivialaugment", "autoaugment")


@dataclass(frozen=True)
class Sample:
    """Some images and their labels, on the CPU.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        classes: K names.
        whole: number of all images of which these are a sample.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    whole: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    def batches(self, size: int = 256) -> list[tuple[Tensor, Tensor]]:
        """Returns (images, labels) in batches."""
        return list(zip(torch.split(self.images, size), torch.split(self.labels, size), strict=True))

    def data(self) -> ImageData:
        """Returns the sample as a source of images."""
        return ImageData(self.images, self.labels, self.classes)


def sample(source: Source, count: int, seed: int, indices: Tensor | None = None) -> Sample:
    """Draws at most so many images of a source, without replacement.

    Args:
        source: the source of the images.
        count: the most images.
        seed: of the draw.
        indices: int64, which of them may be drawn; None for all.

    Raises:
        InputError: there is none, or the source is none of images.
    """
    if not all(hasattr(source, name) for name in ("batch", "labels", "classes")):
        raise InputError(
            f"images must be given as a source, such as rolewise.data.ImageData(images, labels, classes) of uint8 "
            f"images, got {type(source).__name__}"
        )
    everything = torch.arange(len(source)) if indices is None else indices
    if not len(everything):
        raise InputError("a sample must be of at least one image, got none")
    order = torch.randperm(len(everything), generator=generator(seed, "advice", "sample"))
    chosen = everything[order[:count]]
    return Sample(source.batch(chosen).cpu(), source.labels[chosen].cpu(), source.classes, len(everything))


@dataclass(frozen=True)
class Effort:
    """The effort of the measurements.

    Args:
        images: the most images of each part that a network is run on.
        repeats: samples of augmented images, for the teacher's deviation.
        batch: images of each.
        policies: random policies beside the presets.
        measures: number of measurements of the gradients.
        steps: optimiser steps between them.
    """

    images: int = 1000
    repeats: int = 32
    batch: int = 64
    policies: int = 3
    measures: int = 4
    steps: int = 4

    def __post_init__(self) -> None:
        lowest = {"images": 2, "repeats": 2, "batch": 2, "policies": 0, "measures": 1, "steps": 1}
        for name, least in lowest.items():
            if not least <= (value := getattr(self, name)) <= 10**6:
                rule = f"at least {least}" if value < least else "at most 1,000,000"
                raise InputError(f"{name} must be {rule}, got {value}")


@dataclass(frozen=True)
class Work:
    """The trainings of a whole comparison, for its cost.

    Args:
        trainings: of students under one augmentation: seeds, with and without distillation.
        controls: augmentations that are compared in any case.
        members: of a search for the student's own augmentation.
        search_epochs: that each member of it trains.
        search_images: that each member trains on; None for the student's own.
    """

    trainings: int = 1
    controls: tuple[str, ...] = ()
    members: int = 16
    search_epochs: int | None = None
    search_images: int | None = None


@dataclass(frozen=True)
class Case:
    """Everything that advice depends on.

    Args:
        teacher: a trained network.
        student: the network that is to be trained.
        train: images that the student may be trained on.
        validation: images that it may not be; never those of the final test.
        teacher_input: the teacher's input.
        student_input: the student's input.
        trained: whether the student is trained already.
        held_out: whether the teacher has not been trained on the validation images; None where nobody knows.
        settings: of the student's training.
        methods: of the distillation, each a mapping with a name and settings.
        augmentations: candidates by name, each with what a config calls it; ``none`` is always measured.
        policies: random policies, which only a search could train under.
        work: the trainings of the whole comparison.
        effort: effort of the measurements.
        seed: of all draws.
        device: device of the measurements.
        title: name of the student.
        on_step: called with a line before each step.
        on_diagnosis: called with what was found of the teacher as soon as it is known.
    """

    teacher: nn.Module
    student: nn.Module
    train: Sample
    validation: Sample
    teacher_input: InputSpec
    student_input: InputSpec
    trained: bool
    held_out: bool | None
    settings: TrainSettings
    methods: tuple[Mapping[str, Any], ...]
    augmentations: Mapping[str, tuple[Any, Schedule]]
    policies: tuple[Schedule, ...]
    work: Work = field(default_factory=Work)
    effort: Effort = field(default_factory=Effort)
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    title: str = "student"
    on_step: Callable[[str], None] = lambda text: None
    on_diagnosis: Callable[[AdviceSection], None] = lambda section: None


def preset_candidates(
    names: Sequence[str], channels: int, make: Callable[[str], Schedule] = build_augmentation
) -> dict[str, tuple[Any, Schedule]]:
    """Returns presets as candidates; those that need colours are left out where there are none.

    Args:
        names: of presets.
        channels: C of the images.
        make: makes the schedule of a name.
    """
    for name in names:
        PRESETS[name]
    return {name: (name, make(name)) for name in names if channels == 3 or name != "autoaugment"}


def policy_seed(seed: int, number: int) -> int:
    """Returns the seed of a random policy."""
    return derive_seed(seed, "advice", "policy", number)


def lighter(case: Case, multiplications: int) -> Case:
    """Returns a case whose measurements take less, where the teacher is so large that they would take minutes.

    Args:
        case: the networks and their images.
        multiplications: the teacher's, for one image.
    """
    work, effort = multiplications * case.effort.images, case.effort
    if work <= LONG:
        return case
    share = LONG / work
    few = replace(
        effort,
        images=min(effort.images, max(256, round(effort.images * share))),
        repeats=min(effort.repeats, max(8, round(effort.repeats * share))),
        batch=min(effort.batch, 32),
    )
    return replace(case, train=first(case.train, few.images), validation=first(case.validation, few.images), effort=few)


def first(held: Sample, count: int) -> Sample:
    """Returns the first images of a sample, which are in drawn order.

    Args:
        held: the sample.
        count: the most images.
    """
    return replace(held, images=held.images[:count], labels=held.labels[:count])
