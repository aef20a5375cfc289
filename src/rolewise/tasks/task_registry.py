"""The registry of tasks, and a task built from its name and settings as a config holds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rolewise.errors import InputError, near
from rolewise.registry import Registry
from rolewise.tasks.protocol import Task

#: What a task must have (see `rolewise.tasks.protocol.Task`).
_PARTS = (
    "name",
    "metrics",
    "rows_hold",
    "row_classes",
    "check",
    "run",
    "check_outputs",
    "losses",
    "rows",
    "example_targets",
    "metric",
)


def _adopt(path: str, found: Any) -> Callable[..., Task]:
    """Makes an entry of a class, or of a function that returns a task."""
    if not callable(found):
        raise InputError(f'"{path}" must be a class of a task, got {type(found).__name__}; see rolewise.tasks.Task')

    def make(**settings: Any) -> Task:
        task: Task = found(**settings)
        if missing := [part for part in _PARTS if not hasattr(task, part)]:
            raise InputError(f'"{path}" must have {", ".join(missing)}, as rolewise.tasks.Task has them; add them')
        return task

    make.__signature__ = inspect.signature(found)  # type: ignore[attr-defined]
    return make


#: Classes or functions whose keyword arguments are a task's settings; an import path ``package.module:name`` leads to
#: another one.
TASKS: Registry[Callable[..., Task]] = Registry("task", _adopt)


def task_settings(name: str) -> dict[str, Any]:
    """Returns a task's settings with their defaults.

    Raises:
        InputError: no task has this name.
    """
    return {key: parameter.default for key, parameter in inspect.signature(TASKS[name]).parameters.items()}


def build_task(section: str | Mapping[str, Any]) -> Task:
    """Builds a task.

    Args:
        section: its name, or a mapping with ``name`` and settings.

    Raises:
        InputError: the name or a setting is unknown, or a setting is out of range.
    """
    settings = {"name": section} if isinstance(section, str) else dict(section)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"task must be the name of a task, or a mapping with name, got {section!r}{near('', TASKS)}")
    known = task_settings(name)
    for key in settings:
        if key not in known:
            hint = near(key, known) if known else "; it has none"
            raise InputError.at(("task", key), f'no such setting of "{name}"{hint}')
    return TASKS[name](**settings)
