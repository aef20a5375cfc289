"""Baselines that a teacher should beat: the commonest class, the nearest mean image, a student; and its own modes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from rolewise.diagnosis.mistakes import more_often_right
from rolewise.diagnosis.preprocessing import Preprocessing, buffers_kept, fed, preprocessed_logits
from rolewise.inputs import InputSpec
from rolewise.networks import class_logits, device_of
from rolewise.statistics.estimates import holm


@dataclass(frozen=True)
class Baseline:
    """A classifier that a teacher is compared with.

    Args:
        name: in words.
        trained: whether it is a student; the others need no training.
        accuracy: in [0, 1].
        teacher: accuracy of the teacher on the same images.
        adjusted: p value that the rival is no better, adjusted for all rivals (Holm).
    """

    name: str
    trained: bool
    accuracy: float
    teacher: float
    adjusted: float


def baselines_of(
    hits: Tensor,
    images: Tensor,
    labels: Tensor,
    train_images: Tensor,
    train_labels: Tensor,
    student: nn.Module | None,
    student_spec: InputSpec,
) -> list[Baseline]:
    """Compares a teacher with the commonest class, the nearest mean image and, where there is one, a student.

    Args:
        hits: bool [N], whether the teacher is right.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        train_images: uint8 [M, C, H, W].
        train_labels: int64 [M].
        student: a trained network, or None.
        student_spec: the student's input.
    """
    commonest = torch.full_like(labels, int(train_labels.bincount().argmax()))
    found = [("the commonest class", False, commonest == labels)]
    found.append(("the nearest mean image", False, nearest_mean(images, train_images, train_labels) == labels))
    if student is not None:
        found.append(
            ("the student", True, preprocessed_logits(student, images, Preprocessing(student_spec)).argmax(1) == labels)
        )
    adjusted = holm([more_often_right(own, hits) for _, _, own in found])
    teacher = float(hits.double().mean())
    return [
        Baseline(name, trained, float(own.double().mean()), teacher, p)
        for (name, trained, own), p in zip(found, adjusted, strict=True)
    ]


def nearest_mean(images: Tensor, train_images: Tensor, train_labels: Tensor) -> Tensor:
    r"""Returns the class [N] whose mean training image is nearest.

    .. math:: \arg\min_k \lVert x - \bar x_k \rVert

    Source: none; the nearest centroid.

    Args:
        images: uint8 [N, C, H, W].
        train_images: uint8 [M, C, H, W].
        train_labels: int64 [M]; a class without images is never answered.
    """
    classes = torch.unique(train_labels)
    means = torch.stack([train_images[train_labels == label].float().mean(0).flatten() for label in classes])
    nearest = torch.cdist(images.flatten(1).float(), means).argmin(1)
    found: Tensor = classes[nearest]
    return found


@torch.no_grad()
def left_in_training(teacher: nn.Module, images: Tensor, reading: Preprocessing, batch_size: int = 64) -> list[str]:
    """Returns the faults of a teacher with norms or dropout in training mode; none without such.

    Its answers then depend on the other images of a batch, or on chance, and every answer moves the norms' statistics.

    Args:
        teacher: as it is given; its buffers and modes stay.
        images: uint8 [N, C, H, W].
        reading: the teacher's preprocessing.
        batch_size: B of the one batch, which is run once as the network is and once in eval mode.
    """
    parts = list(teacher.modules())
    norms = sum(isinstance(part, _BatchNorm) and part.training for part in parts)
    drops = sum(isinstance(part, _DropoutNd) and part.training and part.p > 0 for part in parts)
    words = [f"{count} {word}" for count, word in ((norms, "batch norms"), (drops, "dropout layers")) if count]
    if not words:
        return []
    shown = images[: max(2, batch_size)]
    steady = preprocessed_logits(teacher, shown, reading)
    with buffers_kept(teacher), torch.random.fork_rng(devices=[]):
        given = class_logits(teacher(fed(shown.to(device_of(teacher)), reading))).cpu()
    changed = float((given.argmax(1) != steady.argmax(1)).double().mean())
    moved = float((given.softmax(1) - steady.softmax(1)).abs().sum(1).mean()) / 2
    return [
        f"{' and '.join(words)} are in training mode: {changed:.1%} of {len(shown)} answers differ from those of eval "
        f"mode, and {moved:.2g} of the probability moves"
    ]
