"""The registry of distillation methods, and their configuration by name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args

from rolewise.distill.absent import unknown_method
from rolewise.distill.checks import Limit, check_choice
from rolewise.distill.method import Info, LogitScale, MakeAdapter, MakeEstimator, Method, Reads
from rolewise.distill.own_functions import OwnLoss
from rolewise.distill.plain_losses import check_order, check_plain_loss, term_name
from rolewise.distill.settings import ROLES, setting_faults, tap_names
from rolewise.distill.term_weights import weight_of
from rolewise.distill.weight_balance import parts_fault
from rolewise.errors import InputError
from rolewise.registry import Registry
from rolewise.tasks import RowKind

Loss = TypeVar("Loss", bound=Callable[..., Any])


def _adopt(path: str, found: Any) -> Info:
    """Makes a method of what an import path names: a registered loss or term, or a plain loss on logits."""
    for info in map(METHODS.__getitem__, METHODS):
        if info.loss is found:
            return info
    labelled = "labels" in check_plain_loss(path, found)
    return Info(term_name(path, METHODS), found, "logits", "unsound" if labelled else "sound")


METHODS: Registry[Info] = Registry("method", _adopt)


#: The limit of the settings that weigh the parts of a loss.
NOT_NEGATIVE: Limit = "not negative"


def method(
    *,
    reads: Reads,
    name: str | None = None,
    mixed_labels: Literal["sound", "unsound"],
    taps: tuple[str, ...] = (),
    adapter: MakeAdapter | None = None,
    estimator: MakeEstimator | None = None,
    weight: float = 1.0,
    limits: Mapping[str, Limit] | None = None,
    logit_scale: LogitScale | None = None,
    alone: bool = False,
    rows: tuple[RowKind, ...] = ("logits",),
    least_classes: int = 2,
    excludes: Mapping[str, str] | None = None,
    batches: str | None = None,
    parts: tuple[str, ...] = (),
) -> Callable[[Loss], Loss]:
    """Returns a decorator that registers a loss ``<name>_loss``, or a class of `Term`, as a method (see `Info`).

    A method of one's own that is defined again, in a notebook or by a module that is loaded anew, takes the place of
    what it was.

    Raises:
        InputError: the name is another method's, or a declaration is none of those that there are.
    """
    check_choice("reads", reads, get_args(Reads))
    check_choice("mixed_labels", mixed_labels, ("sound", "unsound"))

    def register(loss: Loss) -> Loss:
        key = name or loss.__name__.removesuffix("_loss").lower()
        rest = (
            taps,
            adapter,
            estimator,
            weight,
            {**dict.fromkeys(parts, NOT_NEGATIVE), **(limits or {})},
            logit_scale,
            alone,
            rows,
            least_classes,
            excludes or {},
            batches,
            parts,
        )
        info = Info(key, loss, reads, mixed_labels, *rest)
        for setting, limit in info.limits.items():
            check_choice("limits", setting, [*info.settings], owner=key)
            check_choice(f"limits.{setting}", limit, get_args(Limit), owner=key)
        if not isinstance(loss, type):
            check_order([*inspect.signature(loss).parameters], f'"{key}"')
        METHODS.add(key, again=key in METHODS and _is_the_same(METHODS[key].loss, loss))(info)
        return loss

    return register


def _is_the_same(old: Any, new: Any) -> bool:
    """Returns whether two losses are one and the same name of a module that is not Rolewise's."""
    first, second = ((one.__module__, one.__qualname__) for one in (old, new))
    return first == second and first[0].partition(".")[0] != "rolewise"


def discover() -> None:
    """Imports every file of `rolewise.distill.methods`, so that adding a method is adding a file."""
    package = importlib.import_module("rolewise.distill.methods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def method_settings(name: str) -> dict[str, Any]:
    """Returns the settings of a method with their defaults: its loss's own, ``weight``, and its taps where it has some.

    Raises:
        InputError: there is no such method.
    """
    if name not in METHODS:
        raise unknown_method(name, METHODS)
    return settings_of(METHODS[name])


def settings_of(info: Info) -> dict[str, Any]:
    """Returns the settings of a method with their defaults (see `method_settings`)."""
    taps: dict[str, Any] = {"student_taps": (), "teacher_taps": ()} if info.reads != "logits" else {}
    return {**info.settings, "weight": info.weight, **taps}


def configure(method: str | Info | Callable[..., Any], /, **settings: Any) -> Method:
    """Configures a method.

    Args:
        method: its key; or a plain loss function of the two networks' logits, as in ``configure(my_loss, weight=0.5)``
            (see `rolewise.distill.own_functions.OwnLoss`), which reads features where taps are given.
        settings: of its loss, and ``weight`` (a number or a schedule, see `rolewise.distill.term_weights.weight_of`),
            ``student_taps`` and ``teacher_taps``: tap names or module paths, one or several; ``teacher`` and
            ``student``: the roles of two networks, where there are several; ``name``: of its term.

    Raises:
        InputError: the name or a setting is unknown, a number is out of range, or the taps do not come in pairs.
    """
    info = method if isinstance(method, Info) else _info_of(method, settings)
    for error in _faults(info, settings, method if isinstance(method, str) else ""):
        raise error
    weight = weight_of(settings.pop("weight", info.weight))
    student_taps, teacher_taps = (tap_names(settings.pop(key, ()), key) for key in ("student_taps", "teacher_taps"))
    roles = {key: settings.pop(key) for key in ROLES if settings.get(key) is not None}
    roles |= {key: tuple(value) for key, value in roles.items() if isinstance(value, (list, tuple))}
    settings = {key: value for key, value in settings.items() if key not in ROLES}
    return Method(info, settings, weight, student_taps, teacher_taps, **roles)


def _info_of(method: object, settings: Mapping[str, Any]) -> Info:
    """Returns the properties of a registered method, or of a plain function."""
    if not callable(method):
        if method not in METHODS:
            raise unknown_method(method, METHODS)
        return METHODS[str(method)]
    for info in map(METHODS.__getitem__, METHODS):
        if info.loss is method:
            return info
    loss = OwnLoss(method)
    labelled = "labels" in loss.parts.values()
    reads: Reads = "features" if settings.get("student_taps") else "logits"
    return Info(loss.title, loss, reads, "unsound" if labelled else "sound")


def method_faults(name: str, settings: Mapping[str, Any]) -> Iterator[InputError]:
    """Gives an error for every setting of a method that is wrong, each with its path (see `configure`).

    Raises:
        InputError: there is no such method.
    """
    if name not in METHODS:
        raise unknown_method(name, METHODS)
    yield from _faults(METHODS[name], settings, name)


def _faults(info: Info, settings: Mapping[str, Any], owner: str = "") -> Iterator[InputError]:
    known = {**settings_of(info), **dict.fromkeys(ROLES)}
    yield from setting_faults(owner or info.name, known, info.limits, info.choices, info.types, settings)
    if (fault := parts_fault(info, settings, owner or info.name)) is not None:
        yield fault
