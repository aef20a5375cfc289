"""What the student and the teacher see of the same images."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment import Schedule, apply
from rolewise.data import Source
from rolewise.train.settings import TrainSettings

#: Large images are augmented fewer at once: the work takes several times their bytes.
CHUNK_BYTES = 1 << 24


def chunk_size(source: Source, settings: TrainSettings) -> int:
    """Returns how many images are augmented at once: whole batches, since tiny ones are mostly overhead."""
    height, width = source.size
    count = min(settings.chunk, CHUNK_BYTES // (source.channels * height * width))
    return max(1, count // settings.batch_size) * settings.batch_size


def both_views(
    images: Tensor,
    view: str,
    student: Schedule,
    teacher: Schedule | None,
    *,
    progress: float,
    streams: tuple[torch.Generator, torch.Generator],
    settings: TrainSettings,
) -> tuple[Tensor, Tensor | None]:
    """Returns what the student and the teacher see; None where the teacher sees the student's images.

    Args:
        images: uint8 [N, C, H, W].
        view: ``shared`` (the student's images), ``clean`` (unaugmented) or ``own``.
        student: the student's augmentation over training.
        teacher: the teacher's; needed for the view ``own`` alone.
        progress: fraction of training done, in [0, 1].
        streams: the student's draws and the teacher's.
        settings: interpolation and fill are taken.
    """
    seen = augmented(images, student, progress, streams[0], settings)
    if view == "shared":
        return seen, None
    if view == "clean":
        return seen, images
    assert teacher is not None
    return seen, augmented(images, teacher, progress, streams[1], settings)


def augmented(
    images: Tensor, schedule: Schedule, progress: float, stream: torch.Generator, settings: TrainSettings
) -> Tensor:
    """Returns images [N, C, H, W] under a schedule at a fraction of training."""
    size = (images.shape[1], images.shape[2], images.shape[3])
    plan = schedule.at(progress).draw(len(images), size, stream)
    if not plan.ops.shape[1]:
        return images
    return apply(images, plan, interpolation=settings.interpolation, fill=settings.fill)
