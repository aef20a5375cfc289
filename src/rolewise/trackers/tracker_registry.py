"""The trackers by name, the maker of one from its entry in a config, and the faults of such entries."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from rolewise.errors import InputError, near
from rolewise.foreign_code import failed, is_import_path
from rolewise.registry import Registry
from rolewise.trackers.csv_tracker import CsvTracker
from rolewise.trackers.mlflow_tracker import MlflowTracker
from rolewise.trackers.tensorboard_tracker import TensorboardTracker
from rolewise.trackers.tracker_protocol import Tracker

#: What a tracker must have.
CALLS = ("start", "log", "finish")


def _adopt(path: str, found: Any) -> Callable[..., Tracker]:
    if not callable(found):
        raise InputError(
            f'"{path}" must be a class or a function that returns a tracker, got {type(found).__name__}; write a class '
            f"with the methods {', '.join(CALLS)}"
        )
    absent = [name for name in CALLS if inspect.isclass(found) and not callable(getattr(found, name, None))]
    if absent:
        raise InputError(f'"{path}" must have the methods {", ".join(CALLS)}; add {", ".join(absent)}')
    made: Callable[..., Tracker] = found
    return made


#: Makers of trackers, whose keyword arguments are their settings; an import path leads to the user's own.
TRACKERS: Registry[Callable[..., Tracker]] = Registry("tracker", _adopt)
for _name, _kind in (("csv", CsvTracker), ("mlflow", MlflowTracker), ("tensorboard", TensorboardTracker)):
    TRACKERS.add(_name)(_kind)

#: The libraries of a tracker, of which it needs one, and what to install.
NEEDS = {"tensorboard": (("tensorboard", "tensorboardX"), "tensorboard"), "mlflow": (("mlflow",), "mlflow")}


def tracker_entry(entry: Any) -> tuple[str, dict[str, Any]]:
    """Returns the name and the settings of a tracker in a config.

    Raises:
        InputError: it is neither a name nor a mapping with one.
    """
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        form = "{name: tensorboard, folder: logs}"
        raise InputError(f"must be the name of a tracker, or a mapping such as {form}, got {entry!r}")
    return name, {key: value for key, value in entry.items() if key != "name"} if isinstance(entry, dict) else {}


def tracker_settings(name: str) -> dict[str, Any]:
    """Returns a tracker's settings with their defaults; those that have none are `inspect.Parameter.empty`.

    Raises:
        InputError: no tracker has this name.
    """
    known = _parameters(TRACKERS[name])
    return {one.name: one.default for one in known if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}


def _parameters(made: Callable[..., Tracker]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(made).parameters.values())
    except (TypeError, ValueError):
        return []


def make_tracker(entry: Any) -> Tracker:
    """Returns the tracker of an entry in a config.

    Raises:
        InputError: it has a fault, or what it needs is not installed.
        ForeignError: the user's own code raised.
    """
    for path, rule in tracker_faults([entry]):
        raise InputError.at(("track", *path[1:]), rule)
    name, settings = tracker_entry(entry)
    try:
        tracker = TRACKERS[name](**settings)
    except InputError:
        raise
    except Exception as error:
        raise failed(f'tracker "{name}"', name.split(":")[0], error) from error
    for call in CALLS:
        if not callable(getattr(tracker, call, None)):
            raise InputError(f'"{name}" must return a tracker with the methods {", ".join(CALLS)}; add {call}')
    return tracker


def tracker_faults(
    entries: Sequence[Any], left_out: Collection[int] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Gives (path below ``track``, rule) for everything that is wrong with the trackers of a config.

    Args:
        entries: from the config.
        left_out: indices of the user's own trackers that are not to be imported; of these nothing else is checked.
    """
    seen: set[str] = set()
    for at, entry in enumerate(entries):
        try:
            name, settings = tracker_entry(entry)
        except InputError as error:
            yield (at,), str(error)
            continue
        place: tuple[str | int, ...] = (at, "name") if isinstance(entry, dict) else (at,)
        if name in seen:
            yield place, f"{name!r} is listed twice: remove one"
        seen.add(name)
        if at in left_out:
            continue
        try:
            known = tracker_settings(name)
        except InputError as error:
            unknown = f"must be a tracker or package.module:name, got {name!r}{near(name, TRACKERS)}"
            yield place, str(error) if is_import_path(name) else unknown
            continue
        if rule := _absent(name):
            yield place, rule
        open_ended = any(one.kind is one.VAR_KEYWORD for one in _parameters(TRACKERS[name]))
        for key in settings:
            if key not in known and not open_ended:
                yield (at, key), f'no such setting of "{name}"{near(key, known) if known else "; it has none"}'
        for key, default in known.items():
            if default is inspect.Parameter.empty and key not in settings:
                yield place, f'needs {key}, for which "{name}" has no default; write {{name: {name}, {key}: ...}}'


def _absent(name: str) -> str:
    """Returns the rule of a tracker whose library is not installed; empty where it is."""
    libraries, extra = NEEDS.get(name, ((), ""))
    if not libraries or any(importlib.util.find_spec(library) is not None for library in libraries):
        return ""
    return f'needs the package {extra}, which is not installed; pip install "rolewise[{extra}]", or take {name} out'
