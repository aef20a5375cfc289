"""Changes of a Distiller's methods while it trains: a weight or settings, never what learned parts were made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rolewise.distill.loss_term import LossTerm
from rolewise.distill.method import Method
from rolewise.distill.method_registry import configure
from rolewise.errors import InputError, near

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller

#: Settings that a Distiller's networks, hooks and terms were made for.
_FIXED = {"student_taps": "taps", "teacher_taps": "taps", "teacher": "roles", "student": "roles"}


def reconfigured(distiller: Distiller, name: str, settings: Mapping[str, Any]) -> tuple[Method, ...]:
    """Returns the methods of a Distiller after a change of one, which its term follows from now on.

    Args:
        distiller: with its methods and terms.
        name: of the term.
        settings: that change.

    Raises:
        InputError: there is no such method, or a setting is wrong or cannot change.
    """
    if name not in (names := [method.name for method in distiller.methods]):
        raise InputError(f"no method here is called {name!r}{near(name, names)}")
    for key, what in _FIXED.items():
        if key in settings:
            raise InputError(f"{what} must stay as they are; make a new Distiller for others")
    changed = []
    for method in distiller.methods:
        if method.name == name:
            method = configure(method.info, **{**method.given(), **settings})
            term = distiller.terms[name]
            if isinstance(term, LossTerm):
                if method.map_settings != term.method.map_settings:
                    raise InputError(f'the learned map of "{name}" must stay as it is; make a new Distiller')
                term.method = method
            elif settings.keys() - {"weight"}:
                raise InputError(f'settings of "{name}" must stay as they are, except its weight; make a new Distiller')
        changed.append(method)
    return tuple(changed)
