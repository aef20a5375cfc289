"""The two networks of each method, and the tensors that it reads of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from torch import nn

from rolewise.batch import Outputs
from rolewise.distill.method import Method
from rolewise.errors import InputError, near
from rolewise.taps import names_of, resolve


@dataclass(frozen=True)
class Link:
    """A method between two networks, or between one and several that teach it.

    Args:
        student: the role of the network that learns.
        teacher: the role of the network that teaches, the first of several; the student's own where it teaches itself.
        pairs: the paths (student's, teacher's) that the method reads; the teacher's are empty where it reads the
            student's alone.
        others: further teachers by role, with the pairs of each; empty where the method has one teacher.
        several: whether the method reads a mapping of teachers, be it of one.
    """

    student: str
    teacher: str
    pairs: tuple[tuple[str, str], ...] = ()
    others: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    several: bool = False

    @property
    def teachers(self) -> tuple[str, ...]:
        """The roles of all networks that teach, each once."""
        return (self.teacher, *self.others)

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """The roles of the student and of the first teacher, each with its kind."""
        return (self.student, "student"), (self.teacher, "teacher")

    @property
    def all_pairs(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """The pairs of paths of each teacher, by role."""
        return {self.teacher: self.pairs, **self.others}

    def taught(self, outputs: Mapping[str, Outputs], students: Collection[str]) -> Outputs | dict[str, Outputs]:
        """Returns the outputs of a method's teacher, or a mapping of those of several.

        A network that teaches never learns through what it teaches.

        Args:
            outputs: of every network, by role.
            students: the roles of the networks that are trained, whose outputs are detached.
        """
        read = {role: outputs[role].detached() if role in students else outputs[role] for role in self.teachers}
        return read if self.several else read[self.teacher]


def links_of(
    methods: Sequence[Method], teachers: Mapping[str, nn.Module], students: Mapping[str, nn.Module]
) -> tuple[Link, ...]:
    """Returns the link of each method.

    Args:
        methods: configured, each under a name of its own.
        teachers: frozen networks by role.
        students: networks that are trained, by role; one may teach another.

    Raises:
        InputError: a role is unknown or left open, a network would teach itself, a tap does not exist, two methods
            have one name, or exclude each other for one student.
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
        roles = _teachers(method, student, teachers, students)
        both = {**teachers, **students}
        pairs = {role: tuple(pairs_of(method, both[student], both[role])) for role in roles}
        several = method.info.taught_by == "several"
        links.append(Link(student, roles[0], pairs.pop(roles[0]), pairs, several))
    for (one, link), (other, beside) in combinations(zip(methods, links, strict=True), 2):
        reason = one.info.excludes_with(other.info) if link.student == beside.student else None
        if reason:
            rule = f'methods must not hold "{one.name}" beside "{other.name}" for one student: {reason}'
            raise InputError(f"{rule}; leave one of them out")
    return tuple(links)


def _teachers(
    method: Method, student: str, teachers: Mapping[str, nn.Module], students: Mapping[str, nn.Module]
) -> list[str]:
    """Returns the roles of the networks that teach a student by a method: those that it names, or its default."""
    known, given = [role for role in (*teachers, *students) if role != student], method.teacher
    if method.info.taught_by == "itself":
        if given not in (None, student):
            raise InputError(f'"{method.name}": teacher must be left out, as the student teaches itself, got {given!r}')
        return [student]
    if method.info.taught_by == "several":
        listed = (given,) if isinstance(given, str) else given
        # Frozen networks come first: peers teach where there are none.
        roles = listed or [role for role in teachers] or known
        if not roles:
            raise InputError(f'"{method.name}": teacher must name at least one other network, and there is none')
        return list(dict.fromkeys(_role(method, "teacher", role, known) for role in roles))
    if isinstance(given, tuple):
        raise InputError(f'"{method.name}": teacher must be one role, as it has one teacher, got {list(given)}')
    return [_role(method, "teacher", given or (next(iter(teachers)) if len(teachers) == 1 else None), known)]


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
        for teacher, pairs in link.all_pairs.items()
        for pair in pairs
        for path, owner in zip(pair, (link.student, teacher), strict=True)
        if owner == role and path
    ]


def read_outputs(links: Sequence[Link], methods: Sequence[Method]) -> set[str]:
    """Returns the roles of the teachers whose outputs methods read."""
    pairs = zip(links, methods, strict=True)
    return {role for link, method in pairs if method.reads_outputs for role in link.teachers}


def further_views(links: Sequence[Link], methods: Sequence[Method]) -> dict[str, tuple[str, ...]]:
    """Returns the roles that run on each further view that methods read, in the order of teachers and student."""
    found: dict[str, tuple[str, ...]] = {}
    for link, method in zip(links, methods, strict=True):
        for view in () if method.info.term is None else method.info.term.views:
            found[view] = tuple(dict.fromkeys((*found.get(view, ()), *link.teachers, link.student)))
    return found
