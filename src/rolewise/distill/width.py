"""A learned map from the student's width to the teacher's, for methods that compare channel by channel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from rolewise.errors import InputError


def width_map(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> nn.Module:
    """Returns a linear map without bias of each place's channels; where the widths are equal, nothing is learned.

    Args:
        student_shape: [B, D] or [B, D, H, W].
        teacher_shape: of the same number of dimensions.

    Raises:
        InputError: one is a map and the other a vector.
    """
    if len(student_shape) != len(teacher_shape) or len(student_shape) not in (2, 4):
        raise InputError(
            f"a pair of taps must be two maps [B, D, H, W] or two vectors [B, D], got {list(student_shape)} and "
            f"{list(teacher_shape)}; choose other taps"
        )
    if student_shape[1] == teacher_shape[1]:
        return nn.Identity()
    if len(student_shape) == 2:
        return nn.Linear(student_shape[1], teacher_shape[1], bias=False)
    return nn.Conv2d(student_shape[1], teacher_shape[1], 1, bias=False)
