"""The two networks of each method, and the tensors that it reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from rolewise.distill.method import Method
from rolewise.errors import InputError, near
from rolewise.taps import names_of, resolve


@dataclass(frozen=True)
class Link:
    """A method between two networks.

    Args:
        student: the role of the network that learns.
        teacher: the role of the network that teaches.
        pairs: the paths (student's, teacher's) that the method reads; the teacher's are empty where it reads the
            student's alone.
    """

    student: str
    teacher: str
    pairs: tuple[tuple[str, str], ...] = ()


def links_of(
    methods: Sequence[Method], teachers: Mapping[str, nn.Module], students: Mapping[str, nn.Module]
) -> tuple[Link, ...]:
    """Returns the link of each method.

    Args:
        methods: configured, each under a name of its own.
        teachers: frozen networks by role.
        students: networks that are trained, by role; one may teach another.

    Raises:
        InputError: a role is unknown or left open, a network would teach itself, a tap does not exist, or two methods
            have one name.
    """
    names = [method.name for method in methods]
    for method in methods:
        if names.count(method.name) > 1:
            raise InputError(
                f'methods must be distinct, got {names}: "{method.name}" is listed twice; remove one, or give it a '
                f'name, as in rw.{method.info.name}(name="{method.info.name}_2")'
            )
    links = []
    for method in methods:
        student = _role(method, "student", method.student, students)
        taught = [role for role in (*teachers, *students) if role != student]
        default = method.teacher or (next(iter(teachers)) if len(teachers) == 1 else None)
        teacher = _role(method, "teacher", default, taught)
        both = {**teachers, **students}
        links.append(Link(student, teacher, tuple(pairs_of(method, both[student], both[teacher]))))
    return tuple(links)


def _role(method: Method, kind: str, role: str | None, known: Mapping[str, object] | Sequence[str]) -> str:
    if role is None and len(known) == 1:
        return next(iter(known))
    if role is None:
        raise InputError(f'"{method.name}": {kind} must be one of {", ".join(known)}, as there are several; name one')
    if role not in known:
        raise InputError(f'"{method.name}": {kind} must be one of {", ".join(known)}, got {role!r}{near(role, known)}')
    return role


def pairs_of(method: Method, student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Returns the pairs (student's path, teacher's path) that a method reads; none where it reads logits.

    Raises:
        InputError: a tap does not exist, or the networks share none of the method's default taps.
    """
    if method.info.reads == "logits":
        return []
    if method.info.taps_student_alone:
        return [(path, "") for path in _student_paths(method, student)]
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


def _student_paths(method: Method, student: nn.Module) -> list[str]:
    known = names_of(student)
    names = method.student_taps or [name for name in method.info.taps if name in known]
    if not names:
        raise InputError(
            f'"{method.info.name}" must read taps of the student, and it has none of {", ".join(method.info.taps)}; '
            "give student_taps by module path"
        )
    return [resolve(student, name, "student") for name in names]


def tapped(links: Sequence[Link], role: str) -> list[str]:
    """Returns the paths that methods read of a network."""
    return [
        path
        for link in links
        for pair in link.pairs
        for path, owner in zip(pair, (link.student, link.teacher), strict=True)
        if owner == role and path
    ]
