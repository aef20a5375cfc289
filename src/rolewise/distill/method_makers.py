"""Functions that configure methods, ``rolewise.kd(temperature=4)``: with signatures and help for people and editors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from rolewise.distill.method import Info, Method
from rolewise.distill.method_registry import METHODS, configure
from rolewise.moving_weight import Weight

#: What every method takes beside its own settings, by name: its type and the words for it. Taps: where it has some.
COMMON: dict[str, tuple[Any, str]] = {
    "weight": (
        float | Weight | dict[str, Any],
        "of the term: a number, or a schedule over training (see `rolewise.moving_weight.Weight`).",
    ),
    "student_taps": (
        str | Sequence[str],
        "the places in the student that are read: tap names or module paths; by default the method's own.",
    ),
    "teacher_taps": (str | Sequence[str], "as many places in the teacher."),
    "name": (str | None, "of the term, where the method is listed twice; by default the method's own."),
    "teacher": (str | Sequence[str] | None, "the role of the network that teaches, where there are several."),
    "student": (str | None, "the role of the network that learns, where there are several."),
}
#: Entries of a loss's Args that nobody configures.
_GIVEN = ("student", "teacher", "labels", "masks", "boxes", "shapes", "estimator")


def maker_of(name: str) -> Callable[..., Method]:
    """Returns the function that configures a registered method.

    Args:
        name: the method's key.
    """

    def make(**settings: object) -> Method:
        return configure(name, **settings)

    made: Any = make
    made.__name__ = made.__qualname__ = name
    made.__module__ = "rolewise"
    made.__doc__ = help_of(METHODS[name])
    made.__signature__ = signature_of(METHODS[name])
    made.configures = name
    return make


def signature_of(info: Info) -> inspect.Signature:
    """Returns the signature of the function that configures a method: its own settings, then those that all have.

    Args:
        info: of the method.
    """
    kind, types = inspect.Parameter.KEYWORD_ONLY, info.types
    own = [
        inspect.Parameter(key, kind, default=default, annotation=types.get(key, type(default)))
        for key, default in info.settings.items()
    ]
    common = []
    for key, (annotation, _) in COMMON.items():
        if not key.endswith("_taps") or info.reads != "logits":
            default = info.weight if key == "weight" else () if key.endswith("_taps") else None
            common.append(inspect.Parameter(key, kind, default=default, annotation=annotation))
    return inspect.Signature([*own, *common], return_annotation=Method)


def help_of(info: Info) -> str:
    """Returns the text for ``help``: of the loss's docstring what it computes and where it is from, and all settings.

    Args:
        info: of the method.
    """
    text = inspect.getdoc(info.loss) or ""
    about, _, rest = text.partition("\nArgs:\n")
    entries = re.split(r"\n(?=    \w)", rest.partition("\n\n")[0])
    own = [entry for entry in entries if entry.strip() and entry.strip().partition(":")[0] not in _GIVEN]
    taps = f" ({', '.join(info.taps)})" if info.taps else ""
    for key in signature_of(info).parameters:
        if key in COMMON and key not in info.settings:
            words = COMMON[key][1]
            own.append(f"    {key}: " + (words.replace("own.", f"own{taps}.") if key == "student_taps" else words))
    return (
        f"{about.strip()}\n\nArgs:\n" + "\n".join(own) + f"\n\nReturns:\n    The method ``{info.name}``, "
        "configured, for the list that a Distiller is given.\n\nRaises:\n"
        "    InputError: a setting is unknown or out of range.\n"
    )
