"""The registry of metrics that are added to a task's own, and one built from its name and settings in a config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor

from rolewise.errors import InputError, near
from rolewise.metric_info import MetricInfo
from rolewise.registry import Registry
from rolewise.tasks.added_metric import AddedMetric, ExampleMean
from rolewise.tasks.protocol import Task
from rolewise.typed_values import keyword_types, type_fault

Function = TypeVar("Function", bound=Callable[..., Tensor])

#: What a class of a metric must have beside ``info``.
_PARTS = ("add", "compute", "per_example")
#: What a function declares of its number by `metric`; of a plain function it is a number, the higher the better.
_DECLARED: dict[Callable[..., Any], MetricInfo] = {}


def metric(*, title: str = "", unit: str = "", higher_is_better: bool = True) -> Callable[[Function], Function]:
    """Returns a decorator that declares the name, unit and direction of a metric of one's own.

    The function takes outputs and a batch, and returns a value for each example, [B]; their mean over all examples is
    the metric. Keyword-only parameters are its settings.

    Args:
        title: its name in tables and figures; the function's own where it is left out.
        unit: ``fraction`` (shown in percent), ``nats``, or the unit of the targets; empty where there is none.
        higher_is_better: whether a higher value is the better one.
    """

    def declare(function: Function) -> Function:
        name = function.__name__
        _DECLARED[function] = MetricInfo(name, title or name.replace("_", " "), unit, higher_is_better)
        return function

    return declare


def _adopt(path: str, found: Any) -> Callable[..., AddedMetric]:
    """Makes an entry of a function of outputs and a batch, or of a class with ``info``, ``add`` and the rest."""
    if not callable(found):
        raise InputError(f'"{path}" must be a function or a class, got {type(found).__name__}; {_FORM}')
    if inspect.isclass(found):
        if missing := [part for part in _PARTS if not hasattr(found, part)]:
            raise InputError(f'"{path}" must have {", ".join(missing)}; {_FORM}')
    elif len(_positional(found)) != 2:
        raise InputError(f'"{path}" must take outputs and a batch, and settings by keyword alone; {_FORM}')
    title = found.__name__.replace("_", " ")
    info = _DECLARED.get(found, MetricInfo(found.__name__, title))

    def make(**settings: Any) -> AddedMetric:
        if inspect.isclass(found):
            return AddedMetric(path, lambda: found(**settings))
        return AddedMetric(path, lambda: ExampleMean(info, lambda outputs, batch: found(outputs, batch, **settings)))

    make.__wrapped__ = found  # type: ignore[attr-defined]
    return make


_FORM = (
    "write a function (outputs, batch) -> [B], whose mean is the metric, or a class with add, compute, per_example and "
    "info, as rolewise.tasks.Metric has them"
)

#: Makers of metrics, whose keyword arguments are their settings; an import path ``package.module:name`` leads to the
#: user's own.
METRICS: Registry[Callable[..., AddedMetric]] = Registry("metric", _adopt)


def register(name: str) -> Callable[[type], type]:
    """Returns a decorator that registers a class of a metric."""

    def add(kind: type) -> type:
        METRICS.add(name)(_adopt(name, kind))
        return kind

    return add


def metric_settings(name: str) -> dict[str, Any]:
    """Returns a metric's settings with their defaults; those that have none are `inspect.Parameter.empty`.

    Raises:
        InputError: no metric has this name.
    """
    made = inspect.unwrap(METRICS[name])
    known = inspect.signature(made).parameters.values()
    return {
        one.name: one.default
        for one in known
        if one.kind is one.KEYWORD_ONLY or (inspect.isclass(made) and one.kind is one.POSITIONAL_OR_KEYWORD)
    }


def metric_faults(name: str, settings: Mapping[str, Any], task: Task) -> Iterator[InputError]:
    """Gives an error for everything that is wrong with a metric's name or settings, each with the way to it.

    Args:
        name: registered, ``package.module:name``, or one of the task's own.
        settings: from the config.
        task: the task that it is added to.
    """
    own = [info.key for info in task.metrics]
    if name not in own and name not in METRICS:
        names = [*own, *(other for other in METRICS if suits(other, task))]
        rule = f"must be a metric of the task, a registered one or package.module:name, got {name!r}{near(name, names)}"
        yield InputError(rule, path=("",), rule=rule)
        return
    known = {} if name in own else metric_settings(name)
    types = {} if name in own else keyword_types(inspect.unwrap(METRICS[name]))
    for key, value in settings.items():
        rule = ""
        if key not in known:
            rule = f'no such setting of "{name}"{near(key, known) if known else "; it has none"}'
        elif key in types and (wanted := type_fault(value, types[key])):
            rule = f"must be {wanted}, got {value!r}"
        if rule:
            yield InputError.at((key,), rule, owner=name)
    for key in (key for key, default in known.items() if default is inspect.Parameter.empty and key not in settings):
        yield InputError.at((key,), f'must be given: "{name}" has no default for it', owner=name)
    if name not in own and not suits(name, task):
        others = " and ".join(getattr(inspect.unwrap(METRICS[name]), "tasks", ()))
        rule = f'must be a metric of the task {task.name}, got "{name}", which is one of {others}; take it out'
        yield InputError(rule, path=("",), rule=rule)


def suits(name: str, task: Task) -> bool:
    """Returns whether a metric is one of a task; those of the user are of any."""
    tasks = getattr(inspect.unwrap(METRICS[name]), "tasks", ())
    return not tasks or task.name in tasks


def _positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
