"""Features of two networks in one form: maps [B, D, H, W], tokens [B, T, D], vectors [B, D]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Brings the places of two features together; their widths stay, and so do vectors.

    The larger of two maps is averaged down to the smaller's H and W. Tokens beside a map become a map first: T must be
    a square, as of T = H H places row by row (`rolewise.taps.tokens` leaves class tokens out, and gives a map itself
    where the network declares its grid). Tokens beside tokens must be as many.

    Args:
        student: [B, D, H, W], [B, T, D] or [B, D].
        teacher: a feature of one of these forms.

    Returns:
        Two maps, or two tokens, of the same places.

    Raises:
        InputError: tokens fit neither a square nor each other.
    """
    if student.ndim == teacher.ndim == 3 and student.shape[1] != teacher.shape[1]:
        raise InputError(
            f"tokens must be as many in both features, got {student.shape[1]} and {teacher.shape[1]}; declare "
            'the grid of both networks, as in network.tokens = {"prefix": 1, "grid": (14, 14)}, or tap other places'
        )
    if {student.ndim, teacher.ndim} == {3, 4}:
        student, teacher = as_map(student), as_map(teacher)
    if student.ndim != 4 or teacher.ndim != 4 or student.shape[-2:] == teacher.shape[-2:]:
        return student, teacher
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return functional.adaptive_avg_pool2d(student, size), functional.adaptive_avg_pool2d(teacher, size)


def as_map(features: Tensor) -> Tensor:
    """Returns tokens [B, T, D], the places of a square row by row, as a map [B, D, H, H]; maps and vectors stay.

    Raises:
        InputError: T is no square.
    """
    if features.ndim != 3:
        return features
    side = math.isqrt(features.shape[1])
    if side * side != features.shape[1]:
        raise InputError(
            f"tokens [B, T, D] beside a map must be the places of a square, got {list(features.shape)}; declare class "
            'tokens and grid in the network, as in network.tokens = {"prefix": 1, "grid": (14, 14)}'
        )
    return torch.unflatten(features.transpose(1, 2), 2, (side, side))


def columns(features: Tensor) -> Tensor:
    """Returns features as [B, D, N], the channels of each place: of maps [B, D, H, W], tokens or vectors (N = 1)."""
    if features.ndim == 3:
        return features.transpose(1, 2)
    return features.unsqueeze(2) if features.ndim == 2 else features.flatten(2)


def channels_of(features: Tensor) -> int:
    """Returns the dimension of the channels: 2 of tokens [B, T, D], else 1."""
    return 2 if features.ndim == 3 else 1


def width_of(shape: Sequence[int]) -> int:
    """Returns D of the shape of maps [B, D, H, W], tokens [B, T, D] or vectors [B, D]."""
    return shape[2] if len(shape) == 3 else shape[1]


def check_places(name: str, student: Tensor, teacher: Tensor) -> None:
    """Raises InputError unless both are maps or tokens, which have places; ``name`` is the method's."""
    if student.ndim not in (3, 4) or teacher.ndim not in (3, 4):
        got = f"{list(student.shape)} and {list(teacher.shape)}"
        raise InputError(f"{name} must tap maps [B, D, H, W] or tokens [B, T, D], got {got}; choose other taps")


def neighbourhood_map(student_shape: Sequence[int], teacher_shape: Sequence[int], *, name: str = "") -> nn.Module:
    """Returns a learned 3x3 convolution of a map from the student's width to the teacher's, with a bias.

    Args:
        student_shape: [B, D, H, W].
        teacher_shape: [B, D', H', W'].
        name: of the method, for the message.

    Raises:
        InputError: one of them is no map.
    """
    if len(student_shape) != 4 or len(teacher_shape) != 4:
        got = f"{list(student_shape)} and {list(teacher_shape)}"
        raise InputError(f"{name} must tap maps [B, D, H, W], got {got}; choose other taps")
    return nn.Conv2d(student_shape[1], teacher_shape[1], 3, padding=1)


def width_map(
    student_shape: Sequence[int], teacher_shape: Sequence[int], *, bias: bool = False, name: str = ""
) -> nn.Module:
    """Returns a learned linear map of each place's channels from the student's width to the teacher's.

    Args:
        student_shape: [B, D], [B, T, D] or [B, D, H, W]; the map takes features of this form.
        teacher_shape: one of these shapes; maps and tokens go together.
        bias: whether it has a bias. Without one nothing is learned where the widths are equal.
        name: of the method, for the message.

    Raises:
        InputError: one has places and the other has none.
    """
    forms = len(student_shape), len(teacher_shape)
    if forms != (2, 2) and not {*forms} <= {3, 4}:
        rule = f"{name} must tap" if name else "a pair of taps must be"
        raise InputError(
            f"{rule} two maps [B, D, H, W] or tokens [B, T, D], or two vectors [B, D], got "
            f"{list(student_shape)} and {list(teacher_shape)}; choose other taps"
        )
    student, teacher = width_of(student_shape), width_of(teacher_shape)
    if student == teacher and not bias:
        return nn.Identity()
    return nn.Conv2d(student, teacher, 1, bias=bias) if forms[0] == 4 else nn.Linear(student, teacher, bias=bias)
