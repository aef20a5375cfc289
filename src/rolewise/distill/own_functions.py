"""Plain loss functions in Python, as methods: which of their parameters are logits, labels and settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError

#: Names of a parameter that gets the labels.
LABELS = ("labels", "label", "targets", "target")
#: Settings that belong to the method around a loss, whatever the loss calls its own.
RESERVED = ("weight", "name", "teacher", "student", "student_taps", "teacher_taps")
#: Above which a log-probability is none, and 1 plus which a probability.
_ROUNDING = 1e-2
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
        inner = innermost(function)
        self.takes_log = isinstance(inner, nn.KLDivLoss) or inner is functional.kl_div
        given = {**getattr(function, "keywords", {})}
        self.is_log_target = bool(given.get("log_target", getattr(inner, "log_target", False)))
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
        if self.takes_log:
            check_logarithms(self.title, student, teacher, settings.get("log_target", self.is_log_target))
        try:
            loss = self.function(**{name: values[part] for name, part in self.parts.items()}, **settings)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            shapes = [list(value.shape) for value in (student, teacher) if isinstance(value, Tensor)]
            if len(shapes) < 2 or shapes[0] == shapes[1]:
                raise
            raise InputError(
                f"\"{self.title}\" must take a student's {shapes[0]} beside a teacher's {shapes[1]}, got: {error}; "
                "choose taps of equal shape, or make it a class of rolewise.distill.Term with a layer between them"
            ) from error
        if isinstance(loss, Tensor) and loss.ndim == 0:
            return loss.expand(len(student))
        return loss  # type: ignore[no-any-return]


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function within a `functools.partial`, or the function itself."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def check_logarithms(title: str, student: Tensor, teacher: Tensor, is_log_target: bool) -> None:
    """Refuses logits where torch's KL divergence takes a student's log-probabilities and a teacher's probabilities.

    Args:
        title: the loss's name, for the error.
        student: the values that it takes as log-probabilities.
        teacher: the values that it takes as probabilities.
        is_log_target: whether the teacher's are log-probabilities too.

    Raises:
        InputError: a student's value is above 0, or a teacher's is no probability, so that the loss means nothing.
    """
    student, teacher = student.detach(), teacher.detach()
    wrong = bool((student > _ROUNDING).any()) or bool((teacher > _ROUNDING + (not is_log_target)).any())
    if wrong or (not is_log_target and bool((teacher < 0).any())):
        raise InputError(
            f'"{title}" must get log-probabilities of the student and {"log-" if is_log_target else ""}probabilities '
            "of the teacher, got logits; use rolewise.kd(), or write def my_loss(student_logits, teacher_logits) with "
            "log_softmax and softmax in it"
        )


def title_of(function: Callable[..., Any]) -> str:
    """Returns the name of a plain loss's term: the function's without ``_loss``, or the module's class without
    ``Loss``.
    """
    function = innermost(function)
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
    function = innermost(function)
    try:
        hints = get_type_hints(function)
    except Exception:
        return {}  # names that exist for a type checker alone, or no annotations at all
    return {name: hint for name, hint in hints.items() if name in names}
