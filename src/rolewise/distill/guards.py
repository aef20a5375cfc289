"""What the Distiller checks of its parts and of each batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rolewise.distill.registry import Method
from rolewise.errors import InputError


def check_roles(teacher: nn.Module | None, student: nn.Module, methods: Sequence[Method]) -> None:
    """Raises InputError unless teacher, student and methods go together."""
    if methods and teacher is None:
        raise InputError("methods must have a teacher to read, got none; give a teacher or leave the methods out")
    names = [method.info.name for method in methods]
    if len(set(names)) != len(names):
        raise InputError(f"methods must be distinct, got {names}; give one several taps instead of listing it twice")
    if teacher is not None and set(map(id, teacher.parameters())) & set(map(id, student.parameters())):
        raise InputError("teacher and student must not share weights, as the teacher is frozen; copy.deepcopy one")


def check_batch(images: Tensor, labels: Tensor, teacher_images: Tensor | None, *, declared: bool) -> None:
    """Raises InputError unless images and labels are of one batch; only shapes and types are read, never values.

    Args:
        images: the student's.
        labels: int64 [B] or floating point [B, K].
        teacher_images: the teacher's, or None.
        declared: whether every network that is asked declares its input, so that uint8 images can be prepared.
    """
    if images.dtype == torch.uint8 and not declared:
        raise InputError("images must be floating point where a network declares no input, got uint8")
    fits = labels.dtype == torch.int64 if labels.ndim == 1 else labels.ndim == 2 and labels.is_floating_point()
    if not fits or len(labels) != len(images):
        got = f"{labels.dtype} {list(labels.shape)}"
        raise InputError(f"labels must be int64 [B] or soft labels [B, K] for {len(images)} images, got {got}")
    if teacher_images is not None and len(teacher_images) != len(images):
        raise InputError(f"teacher_images must be of the same {len(images)} examples, got {len(teacher_images)}")


def check_soft_labels(methods: Sequence[Method]) -> None:
    """Raises InputError where a method is not sound with soft labels."""
    for method in methods:
        if method.info.mixed_labels == "unsound":
            raise InputError(f'labels must be int64 [B] for "{method.info.name}", which is not sound with soft ones')
