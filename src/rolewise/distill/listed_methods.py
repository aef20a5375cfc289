"""The methods of a Distiller, made of what is listed: configured methods, their names, plain functions, one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from rolewise.distill.absent import unknown_method
from rolewise.distill.combinations import COMBINATIONS
from rolewise.distill.method import Method
from rolewise.distill.method_registry import METHODS, configure
from rolewise.distill.term import Term
from rolewise.errors import InputError

#: A method as it may be listed: configured, its name, or a loss function of the student's and the teacher's logits.
Listed: TypeAlias = "Method | str | Callable[..., Tensor]"
#: What a Distiller takes as its methods.
Methods: TypeAlias = "Listed | Sequence[Listed]"
_WANTED = "methods must be a list of methods (rw.kd(), a name, or a function)"


def methods_of(methods: object, *, taught: bool) -> tuple[Method, ...]:
    """Returns the configured methods of a list, or of one entry alone.

    Args:
        methods: configured methods, names of methods or combinations, and plain loss functions.
        taught: whether there is a second network to learn from.

    Raises:
        InputError: something is none of these, or there is no network to learn from.
    """
    if isinstance(methods, (str, Method)) or _is_loss(methods):
        methods = [methods]
    if isinstance(methods, Mapping) or not isinstance(methods, Iterable):
        raise InputError(f"{_WANTED}, got {_described(methods)}")
    listed: list[Method] = []
    for entry in methods:
        listed += _configured(entry)
    if not taught and any(method.info.taught_by != "itself" for method in listed):
        raise InputError("methods must have a teacher to read, got none; give a teacher or leave the methods out")
    return tuple(listed)


def _configured(entry: Any) -> list[Method]:
    if isinstance(entry, Method):
        return [entry]
    if isinstance(entry, str):
        if entry in COMBINATIONS:
            return COMBINATIONS[entry]()
        if entry not in METHODS:
            raise unknown_method(entry, [*METHODS, *COMBINATIONS])
        return [configure(entry)]
    if _is_loss(entry):
        return [configure(entry)]
    raise InputError(f"{_WANTED}, got one that is {_described(entry)}")


def _is_loss(entry: object) -> bool:
    """Whether it is a function or a loss module, and not one that configures a method and was not called."""
    return callable(entry) and not isinstance(entry, type) and not hasattr(entry, "configures")


def _described(value: object) -> str:
    """Returns a description of something given in place of methods, and the right way to write it."""
    if isinstance(value, Mapping):
        return "a mapping; write methods=rolewise.distill.build_methods([{...}])"
    if isinstance(value, (list, tuple)) and not all(isinstance(part, Method) for part in value):
        return "a pair or list of other things; a weight is the method's own: write methods=[rw.kd(weight=0.9)]"
    if isinstance(value, (list, tuple)):
        return "a list, as combinations are; write methods=[*rw.ii_kd(), ...]"
    if isinstance(value, type) and issubclass(value, Term):
        name = next((one for one in METHODS if METHODS[one].loss is value), value.__name__.lower())
        return f"the class {value.__name__}; decorate it with rolewise.distill.method, and write methods=[rw.{name}()]"
    if isinstance(value, type):
        return f"the class {value.__name__}; make it first, as in methods=[{value.__name__}()]"
    if callable(value):
        name = getattr(value, "__name__", "kd")
        return f"the function {name}; call it, as in methods=[rw.{name}()]"
    return f"{value!r}; write methods=[rw.kd()], or methods=[] for none"
