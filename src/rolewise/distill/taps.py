"""The pairs of places that a method reads in student and teacher."""

from __future__ import annotations

from torch import nn

from rolewise.distill.registry import Method
from rolewise.errors import InputError
from rolewise.taps import names_of, resolve


def pairs_of(method: Method, student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Returns the pairs (student's path, teacher's path) that a method reads; none where it reads logits.

    Raises:
        InputError: a tap does not exist, or the networks share none of the method's default taps.
    """
    if method.info.reads == "logits":
        return []
    if method.student_taps:
        students = [resolve(student, name, "student") for name in method.student_taps]
        return list(zip(students, [resolve(teacher, name, "teacher") for name in method.teacher_taps], strict=True))
    student_taps, teacher_taps = names_of(student), names_of(teacher)
    shared = [name for name in method.info.taps if name in student_taps and name in teacher_taps]
    if not shared:
        raise InputError(
            f'"{method.info.name}" must read taps of both networks, and they share none of '
            f"{', '.join(method.info.taps)}; give student_taps and teacher_taps by module path"
        )
    return [(resolve(student, name, "student"), resolve(teacher, name, "teacher")) for name in shared]
