"""Plain loss functions in Python, as methods: which of their parameters are logits, labels and settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from torch import Tensor, nn

from rolewise.errors import InputError

#: Names of a parameter that gets the labels.
LABELS = ("labels", "label", "targets", "target")
#: Settings that belong to the method around a loss, whatever the loss calls its own.
RESERVED = ("weight", "name", "teacher", "student", "student_taps", "teacher_taps")
_REMEDY = "write it as def my_loss(student_logits, teacher_logits), with labels or settings with defaults behind them"


class OwnLoss:
    """A plain function as a loss ``(student, teacher, *, labels, **settings) -> [B]``.

    Parameters named ``student...`` and ``teacher...`` get the two networks' logits (or features, where taps are
    configured), in any order; where none is named so, the first two do. One named ``labels`` or ``targets`` gets the
    labels. All others are settings and must have defaults. A scalar counts as the loss of each example, so that the
    mean over the batch is that scalar.

    Args:
        function: the function, a `functools.partial` of one, or a loss module without parameters.

    Raises:
        InputError: it has no signature, or a parameter can be none of these.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.title = function, title_of(function)
        if isinstance(function, nn.Module) and next(function.parameters(), None) is not None:
            raise InputError(
                f'"{self.title}" must have no parameters to train, got a {type(function).__name__} that has; make it '
                "a class of rolewise.distill.Term, which trains them beside the student"
            )
        called = function.forward if isinstance(function, nn.Module) else function
        try:
            parameters = list(inspect.signature(called).parameters.values())
        except (TypeError, ValueError) as error:
            raise InputError(f'"{self.title}" must have a signature ({error}); {_REMEDY}') from error
        self.parts = parameter_parts(self.title, parameters)
        settings = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in parameters
            if parameter.name not in self.parts
            and parameter.name not in RESERVED
            and parameter.kind is not parameter.VAR_KEYWORD
        ]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        first = [inspect.Parameter(name, kind) for name in ("student", "teacher")]
        if "labels" in self.parts.values():
            first.append(inspect.Parameter("labels", inspect.Parameter.KEYWORD_ONLY))
        self.__signature__ = inspect.Signature([*first, *settings])
        self.__doc__ = inspect.getdoc(function) if not isinstance(function, nn.Module) else None
        self.__annotations__ = _types(called, {setting.name for setting in settings})

    def __call__(self, student: Tensor, teacher: Tensor, *, labels: Any = None, **settings: Any) -> Tensor:
        """Returns the loss [B]."""
        values = {"student": student, "teacher": teacher, "labels": labels}
        loss = self.function(**{name: values[part] for name, part in self.parts.items()}, **settings)
        if isinstance(loss, Tensor) and loss.ndim == 0:
            return loss.expand(len(student))
        return loss  # type: ignore[no-any-return]


def title_of(function: Callable[..., Any]) -> str:
    """Returns the name of a plain loss's term: the function's without ``_loss``, or the module's class without
    ``Loss``.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, nn.Module):
        return type(function).__name__.removesuffix("Loss").lower() or "loss"
    name = getattr(function, "__name__", type(function).__name__)
    return name.removesuffix("_loss") if name.isidentifier() and name.removesuffix("_loss") else "loss"


def parameter_parts(title: str, parameters: list[inspect.Parameter]) -> dict[str, str]:
    """Returns the parameters that get ``student``, ``teacher`` and ``labels``, by the parameter's name.

    Args:
        title: the function's name, for errors.
        parameters: of its signature.

    Raises:
        InputError: a network's logits have no parameter, or one without a default is left over.
    """
    got = f"({', '.join(map(str, parameters))})"
    parts: dict[str, str] = {}
    named = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for part in ("student", "teacher"):
        fitting = [name for name in named if name.lower().startswith(part)]
        if len(fitting) > 1:
            raise InputError(f'"{title}" must have one parameter named {part}..., got {got}; {_REMEDY}')
        parts |= dict.fromkeys(fitting, part)
    if not parts:
        parts = dict(zip(named[:2], ("student", "teacher"), strict=False))
    if len(parts) < 2:
        raise InputError(f'"{title}" must take the logits of student and teacher, got {got}; {_REMEDY}')
    labels = [name for name in named if name in LABELS and name not in parts]
    parts |= dict.fromkeys(labels[:1], "labels")
    for parameter in parameters:
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if needed and parameter.name not in parts:
            raise InputError(
                f'"{title}" must have a default for the parameter {parameter.name!r}, got {got}; {_REMEDY}'
            )
    return parts


def _types(function: Any, names: set[str]) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    try:
        hints = get_type_hints(function)
    except Exception:
        return {}  # names that exist for a type checker alone, or no annotations at all
    return {name: hint for name, hint in hints.items() if name in names}
