"""Checks of a training's arguments, before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.augment import Schedule
from rolewise.config.training_sections import TrainSettings
from rolewise.data import Source
from rolewise.distill import Distiller
from rolewise.distill.single_process import check_one_rank
from rolewise.errors import InputError
from rolewise.train.feed import Feed


def check_given(distiller: object, source: object, indices: object, settings: object, *, alone: bool = True) -> None:
    """Raises InputError unless a `Trainee` is given what it can train.

    Args:
        distiller: student, teacher and loss.
        source: the images, or a feed.
        indices: int64 [N], rows of the source.
        settings: of the training.
        alone: whether this process trains by itself.
    """
    if not isinstance(distiller, Distiller):
        way = "give its Distiller as it is: a Trainee trains in one process" if _wraps(distiller) else "make one"
        raise InputError(f"distiller must be a rolewise.Distiller, got {type(distiller).__name__}; {way}")
    if alone:
        check_one_rank("a Trainee", "each would train a student of its own; give ranks=rolewise.train.Ranks.of_group()")
    if not isinstance(settings, TrainSettings):
        raise InputError(f"settings must be a rolewise.train.TrainSettings, got {type(settings).__name__}")
    if settings.open_arithmetic:
        name = settings.open_arithmetic[0]
        raise InputError(
            f'{name} must be chosen before a Trainee is made, got "auto"; rolewise.train.arithmetic.kept_arithmetic '
            "chooses, and rolewise.distill and configs do so by themselves"
        )
    if isinstance(source, Feed):
        return
    if not isinstance(source, Source):
        raise InputError(
            f"source must hold uint8 images and labels, got {type(source).__name__}; make one with "
            "rolewise.data.ImageData(images, labels, classes)"
        )
    check_indices(indices, source)


def check_seen(augmentation: object, teacher_augmentation: object, view: str) -> None:
    """Raises InputError unless what the networks see goes together.

    Args:
        augmentation: of the student's images, over training.
        teacher_augmentation: of the teacher's, or None.
        view: the teacher's images.
    """
    for name, given in (("augmentation", augmentation), ("teacher_augmentation", teacher_augmentation)):
        if not isinstance(given, Schedule) and not (given is None and name == "teacher_augmentation"):
            way = f"write rolewise.augment.build_schedule({given!r})" if isinstance(given, (str, dict)) else "build one"
            raise InputError(f"{name} must be a rolewise.Schedule, got {type(given).__name__}; {way}")
    if view not in ("shared", "clean", "own"):
        raise InputError(f'view must be "shared", "clean" or "own", got {view!r}')
    if view == "own" and teacher_augmentation is None:
        raise InputError('view "own" must have the teacher\'s augmentation, got none')


def check_indices(indices: object, source: Source) -> None:
    """Raises InputError unless indices are int64 [N], N at least 1, and each is one of a source's images."""
    if not isinstance(indices, Tensor) or indices.dtype != torch.int64 or indices.ndim != 1:
        got = f"{indices.dtype} {list(indices.shape)}" if isinstance(indices, Tensor) else type(indices).__name__
        way = (
            "take mask.nonzero().flatten() of a mask"
            if isinstance(indices, Tensor) and indices.dtype == torch.bool
            else "make them with torch.as_tensor(indices), or torch.arange(len(source)) for all"
        )
        raise InputError(f"indices must be int64 [N], got {got}; {way}")
    if not len(indices):
        raise InputError("indices must name at least one image, got none")
    low, high = (int(value) for value in indices.aminmax())
    if low < 0 or high >= len(source):
        wrong = low if low < 0 else high
        raise InputError(f"indices must be from 0 to {len(source) - 1}, the images of the source, got {wrong}")


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Raises InputError unless a value is a whole number of at least so many."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _wraps(distiller: object) -> bool:
    return isinstance(distiller, nn.Module) and any(isinstance(part, Distiller) for part in distiller.modules())
