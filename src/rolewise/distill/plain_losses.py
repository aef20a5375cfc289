"""Plain loss functions of the user, named by their import path: what they must take, and their terms' names."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any

from rolewise.errors import InputError


def check_plain_loss(path: str, found: Any) -> set[str]:
    """Makes sure that an object can be a method on logits: a function (student, teacher, *, settings) -> [B].

    Args:
        path: its import path.
        found: the object there.

    Returns:
        The names of its keyword arguments.

    Raises:
        InputError: it is no function, takes other arguments, or a setting has no default.
    """
    remedy = "write it as loss(student, teacher, *, temperature=4.0), or register it with rolewise.distill.method"
    if inspect.isclass(found) or not callable(found):
        what = f"the class {found.__name__}" if inspect.isclass(found) else type(found).__name__
        raise _fault(f'"{path}" must be a loss function, got {what}; {remedy} (a class of rolewise.distill.Term too)')
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError) as error:
        raise _fault(f'"{path}" must have a signature ({error}); {remedy}') from error
    places = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    others = [one.name for one in parameters if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    settings = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    if len(places) != 2 or others:
        raise _fault(
            f'"{path}" must take the logits of student and teacher, and its settings behind a *, got '
            f"({', '.join(map(str, parameters))}); {remedy}"
        )
    check_order(places, f'"{path}"')
    for one in settings:
        if one.default is one.empty and one.name != "labels":
            raise _fault(f'"{path}" must have a default for the setting {one.name!r}, got none; give it one')
    return {one.name for one in settings}


def check_order(places: Sequence[str], what: str) -> None:
    """Raises InputError where the first two parameters are named as teacher and student: they get these in order.

    Args:
        places: names of the parameters by place.
        what: the loss, for the error.
    """
    first, second = (name.lower() for name in (*places, "", "")[:2])
    if first.startswith("teacher") or second.startswith("student"):
        raise _fault(
            f"{what} must take the student's first and the teacher's second, got ({', '.join(places)}); swap them"
        )


def term_name(path: str, taken: Collection[str]) -> str:
    """Returns the name of a plain loss's term: its function's name without ``_loss``.

    Args:
        path: the import path of the function.
        taken: names of registered methods; where one has the name, the module's stands in front.
    """
    module, _, function = path.partition(":")
    name = function.removesuffix("_loss") or function
    return f"{module.replace('.', '_')}_{name}" if name in taken else name


def _fault(message: str) -> InputError:
    return InputError(message, path=("name",), rule=message)
