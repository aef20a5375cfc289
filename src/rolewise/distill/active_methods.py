"""The methods of a Distiller that are computed for now: of several that it was made with, those of one phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rolewise.distill.links import tapped
from rolewise.distill.loss_term import LossTerm
from rolewise.distill.method import Method
from rolewise.errors import InputError, near
from rolewise.taps import resolve

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


def union_of(parts: Sequence[Sequence[Method]]) -> list[Method]:
    """Returns the methods that a Distiller must have for several lists of them, each name once.

    Args:
        parts: the methods of each phase.

    Raises:
        InputError: two methods of one name differ in what learned parts and taps are made for; its path leads to the
            second one.
    """
    found: dict[str, Method] = {}
    for number, part in enumerate(parts):
        for place, method in enumerate(part):
            if rule := _difference(found.setdefault(method.name, method), method):
                raise InputError.at((number, place), rule)
    return list(found.values())


def use_methods(
    distiller: Distiller, methods: Sequence[Method], *, label_weight: float, stop_at: str | None = None
) -> None:
    """Has a Distiller compute some of its methods from now on, and run no teacher that none of them reads.

    Args:
        distiller: made with methods of these names, and possibly others.
        methods: with the settings and weights that they are to have.
        label_weight: weight of the labels' own loss.
        stop_at: a tap of the first student that the methods read: the student's pass ends with the last of these, and
            so does that of a teacher whose outputs none of them reads. None for whole passes.

    Raises:
        InputError: a method is none of the Distiller's, differs in what it was made for, or ``stop_at`` does not go
            with the methods.
    """
    wanted = {method.name: method for method in methods}
    for name in wanted:
        if name not in (known := [method.name for method in distiller.methods]):
            raise InputError(f"no method here is called {name!r}{near(name, known)}")
    for method in distiller.methods:
        if method.name in wanted and (rule := _difference(method, wanted[method.name])):
            raise InputError(rule)
    active = [
        (link, wanted[method.name])
        for method, link in zip(distiller.methods, distiller.links, strict=True)
        if method.name in wanted
    ]
    ends: Mapping[str, frozenset[str]] = {}
    if stop_at is not None:
        role, links = distiller.roles[0], [link for link, _ in active]
        _check_stop(distiller, stop_at, methods, tapped(links, role), label_weight)
        unread = [role for link in links for role in link.teachers if role in distiller.teaching]
        ends = {one: frozenset(tapped(links, one)) for one in (role, *unread)}
    distiller.ends = ends
    distiller.methods = tuple(wanted.get(method.name, method) for method in distiller.methods)
    for name, method in wanted.items():
        if isinstance(term := distiller.terms[name], LossTerm):
            term.method = method
    distiller.label_weight = label_weight
    distiller.compute_terms(frozenset(wanted), frozenset(role for link, _ in active for role in link.teachers))


def _difference(known: Method, other: Method) -> str:
    """Returns the rule that a method breaks whose term is that of another; empty where the term fits both."""
    name = known.name
    if known.info.name != other.info.name:
        return f'must be one method where its name is "{name}", got {known.info.name} and {other.info.name}; rename one'
    for key in ("student_taps", "teacher_taps", "teacher", "student"):
        if getattr(known, key) != getattr(other, key):
            return f'must have the same {key} wherever it is named "{name}"; give one of them a name of its own'
    fixed, given = (
        (one.map_settings if one.info.term is None else {**one.info.settings, **one.settings}) for one in (known, other)
    )
    if fixed != given:
        changed = ", ".join(key for key in fixed if fixed[key] != given[key])
        return (
            f'must have the same {changed} wherever it is named "{name}", as its learned part does; rename one of them'
        )
    return ""


def _check_stop(
    distiller: Distiller, stop_at: str, methods: Sequence[Method], read: Sequence[str], label_weight: float
) -> None:
    if len(distiller.roles) > 1:
        raise InputError.at(("stop_at",), f"must be left out where there are several students, got {stop_at!r}")
    if label_weight:
        raise InputError.at(
            ("label_weight",),
            f"must be 0 where the student's pass stops at {stop_at!r}, got {label_weight:g}; set it to 0",
        )
    for method in methods:
        if method.reads_outputs or method.info.wants_labels:
            raise InputError.at(
                ("stop_at",), f'must be left out where "{method.name}" reads the outputs, got {stop_at!r}; leave it out'
            )
    try:
        path = resolve(distiller.students[distiller.roles[0]], stop_at, "student")
    except InputError as error:
        raise InputError.at(("stop_at",), f"must be a tap of the student, got {stop_at!r}: {error}") from error
    if not distiller.seen_whole(distiller.roles[0]):
        raise InputError(
            f"example must be a few inputs where a student's pass stops at {stop_at!r}, so that it has been seen whole "
            "before, got none; give Distiller(..., example=images[:2])"
        )
    if path not in read:
        rule = f"must be a tap that the methods of its phase read ({', '.join(read) or 'none'}), got {stop_at!r}"
        raise InputError.at(("stop_at",), f"{rule}; change it or a method's student_taps")
