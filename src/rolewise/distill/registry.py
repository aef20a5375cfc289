"""The registry of distillation methods: what each one reads, its settings, and how it is configured."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from rolewise.distill.weights import Weight, weight_of
from rolewise.errors import InputError, near
from rolewise.registry import Registry

Reads = Literal["logits", "features"]
#: Makes the learned part of a method out of the shapes of the student's and the teacher's features.
MakeAdapter = Callable[[Sequence[int], Sequence[int]], nn.Module]


@dataclass(frozen=True)
class Info:
    """What is known of a method before it is configured.

    Args:
        name: its key; also its file and its name in a config.
        loss: the function (student, teacher, **settings) -> [B]. With ``reads="features"`` it gets one pair of taps
            at a time, and the terms of several pairs are added.
        reads: logits, or features.
        mixed_labels: whether it is sound when images are mixed: ``sound`` or ``unsound``.
        taps: the tap names that it reads by default, of both networks; those that a network lacks are left out.
        adapter: makes a learned module that is applied to the student's feature first, or None.
    """

    name: str
    loss: Callable[..., Tensor]
    reads: Reads
    mixed_labels: Literal["sound", "unsound"]
    taps: tuple[str, ...] = ()
    adapter: MakeAdapter | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The loss's own settings with their defaults."""
        parameters = inspect.signature(self.loss).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Method:
    """A configured method.

    Args:
        info: which one.
        settings: of its loss.
        weight: of its term, over training.
        student_taps: tap names or module paths in the student; the method's own by default.
        teacher_taps: likewise in the teacher, as many.
    """

    info: Info
    settings: dict[str, Any] = field(default_factory=dict)
    weight: Weight = field(default_factory=lambda: weight_of(1.0))
    student_taps: tuple[str, ...] = ()
    teacher_taps: tuple[str, ...] = ()


METHODS: Registry[Info] = Registry("method")


def method(
    *,
    reads: Reads,
    mixed_labels: Literal["sound", "unsound"],
    taps: tuple[str, ...] = (),
    adapter: MakeAdapter | None = None,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Returns a decorator that registers a loss ``<name>_loss`` as the method ``<name>`` (see `Info`)."""

    def register(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        name = loss.__name__.removesuffix("_loss")
        METHODS.add(name)(Info(name, loss, reads, mixed_labels, taps, adapter))
        return loss

    return register


def discover() -> None:
    """Imports every file of `rolewise.distill.methods`, so that adding a method is adding a file."""
    package = importlib.import_module("rolewise.distill.methods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


#: Settings that every method has.
COMMON: dict[str, Any] = {"weight": 1.0, "student_taps": (), "teacher_taps": ()}


def method_settings(name: str) -> dict[str, Any]:
    """Returns the settings of a method with their defaults, the common ones among them.

    Raises:
        InputError: there is no such method.
    """
    info = METHODS[name]
    common = COMMON if info.reads == "features" else {"weight": 1.0}
    return {**info.settings, **common}


def configure(name: str, **settings: Any) -> Method:
    """Configures a method.

    Args:
        name: the method.
        settings: of its loss, and ``weight`` (a number or a schedule, see `rolewise.distill.weights.weight_of`),
            ``student_taps`` and ``teacher_taps``.

    Raises:
        InputError: the name or a setting is unknown, or the taps do not come in pairs.
    """
    known = method_settings(name)
    for key in settings:
        if key not in known:
            raise InputError(f'no such setting of "{name}": {key!r}{near(key, known)}')
    weight = weight_of(settings.pop("weight", 1.0))
    student_taps, teacher_taps = (_names(settings.pop(key, ()), key) for key in ("student_taps", "teacher_taps"))
    if len(student_taps) != len(teacher_taps):
        raise InputError(
            f'"{name}": student_taps and teacher_taps must be as many, got {len(student_taps)} and {len(teacher_taps)}'
        )
    for key, value in settings.items():
        if isinstance(known[key], float) and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InputError(f'"{name}": {key} must be a number, got {value!r}')
    return Method(METHODS[name], settings, weight, student_taps, teacher_taps)


def _names(value: Any, key: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{key} must hold tap names or module paths, got {value!r}")
    return names


def build_methods(sections: Sequence[dict[str, Any]]) -> list[Method]:
    """Configures methods from mappings with a ``name`` and settings, as a config holds them."""
    built = []
    for section in sections:
        settings = dict(section)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"a method must have a name, got {section!r}{near('', METHODS)}")
        built.append(configure(name, **settings))
    return built
