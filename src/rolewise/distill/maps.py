"""Feature maps of two networks, brought together."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Averages the larger of two maps [B, D, H, W] down to the smaller's H and W; what is no map stays as it is."""
    if student.ndim != 4 or teacher.ndim != 4 or student.shape[-2:] == teacher.shape[-2:]:
        return student, teacher
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return functional.adaptive_avg_pool2d(student, size), functional.adaptive_avg_pool2d(teacher, size)
