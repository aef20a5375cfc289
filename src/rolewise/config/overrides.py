"""Single settings laid over a document, as ``--set students[0].train.epochs=5`` or ``students.0`` gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rolewise.config.document import Document, forget, parse, read_document
from rolewise.config.faults import ConfigError, ConfigPlace, Fault, Steps, dotted
from rolewise.words import as_utf8

_PATH = re.compile(r"[A-Za-z_]\w*(\.([A-Za-z_]\w*|[0-9]{1,6})|\[[0-9]{1,6}\])*")


def override(document: Document, setting: str) -> None:
    """Sets one value.

    Args:
        document: changed in place.
        setting: ``path.to.key=value``, the value in YAML.

    Raises:
        ConfigError: the setting is not of that form, or leads through something that is no mapping or list.
    """
    path_text, equals, value_text = setting.partition("=")
    label = as_utf8(setting)
    place = ConfigPlace(f"--set {label if len(label) <= 60 else label[:57] + '...'}", 0)
    path_text = path_text.strip()
    steps = steps_of(path_text)
    if not equals or steps is None:
        raise ConfigError.of(place, "--set", "must read path.to.key=value, such as students[0].train.epochs=5")
    try:
        given = parse(value_text, place.file)
    except ConfigError as error:
        raise ConfigError([Fault(place, path_text, fault.message) for fault in error.faults]) from error
    if given.faults:
        raise ConfigError([Fault(place, path_text, fault.message) for fault in given.faults])
    if is_study(document.value):
        _assign_in_study(document, steps, given.value, place)
    else:
        assign(document, steps, given.value, place)


def setting_steps(setting: str) -> Steps:
    """Returns the path that a ``path.to.key=value`` sets, of that form."""
    return steps_of(setting.partition("=")[0].strip()) or ()


def is_study(value: Any) -> bool:
    """Returns whether the values of a config file are those of a study, by the keys that only a study has."""
    return isinstance(value, dict) and bool({"grid", "parts", "base"} & value.keys())


def read_overridden(path: Path | str, settings: Sequence[str]) -> Document:
    """Reads a YAML file and lays settings over it; those that cannot be laid are among the document's faults.

    Raises:
        ConfigError: as in `read_document`.
    """
    document = read_document(Path(path))
    for setting in settings:
        try:
            override(document, setting)
        except ConfigError as error:
            document.faults += error.faults
    return document


def lone_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Returns settings that stand alone, with no file below them, as a mapping.

    Args:
        settings: each ``path.to.key=value``, the value in YAML; the last one of a path holds.

    Raises:
        ConfigError: one is not of that form.
    """
    document = Document({})
    for setting in settings:
        override(document, setting)
    value: dict[str, Any] = document.value
    return value


def steps_of(path: str) -> Steps | None:
    """Returns the steps of ``students[0].train.epochs`` or ``students.0.train.epochs``; None where it is no path."""
    if not _PATH.fullmatch(path):
        return None
    return tuple(int(step) if step.isdecimal() else step for step in re.findall(r"\w+", path))


def assign(document: Document, steps: Steps, value: Any, place: ConfigPlace) -> None:
    """Sets the value at a path, and remembers where it was given.

    Args:
        document: changed in place.
        steps: the path; mappings that are missing on the way are made.
        value: of plain mappings, lists, text, numbers, booleans and None.
        place: its position.

    Raises:
        ConfigError: the path leads through something that is no mapping or list.
    """
    current = document.value
    for position, step in enumerate(steps):
        _must_hold(current, step, steps[: position + 1], place)
        if position == len(steps) - 1:
            current[step] = value
        elif isinstance(current, dict) and current.get(str(step)) is None and isinstance(steps[position + 1], str):
            current[step] = current = {}
            document.places[steps[: position + 1]] = place
        else:
            current = current.get(step) if isinstance(current, dict) else current[step]
    forget(document.places, steps)
    document.places[steps] = place


def _must_hold(current: Any, step: str | int, path: Steps, place: ConfigPlace) -> None:
    around = dotted(path[:-1]) or "the file"
    if isinstance(step, str):
        if isinstance(current, dict):
            return
        remedy = f"name a place in it, such as {around}[0]" if isinstance(current, list) else "set the whole of it"
        message = f'must be in a mapping, but "{around}" is none; {remedy}'
    elif not isinstance(current, list):
        message = f'must be in a list, but "{around}" is none in the file; set the whole of it'
    elif step >= len(current):
        rule = f"must be a place from 0 to {len(current) - 1}" if current else "must be in a list that is not empty"
        message = f'{rule}, got {step}; to add to "{around}", set the whole list'
    else:
        return
    raise ConfigError.of(place, dotted(path), message)


def _assign_in_study(document: Document, steps: Steps, value: Any, place: ConfigPlace) -> None:
    """Sets the value at a path of a study, of whose mappings some have dotted keys of the experiment as their own keys.

    There a setting becomes a key of its own where none leads to it: a mapping in its place would replace a whole
    section of the experiment.
    """
    start = 3 if steps[0] == "parts" else 1
    kind = steps[start - 1] if len(steps) > start else None
    if kind == "set":
        _assign_key(document, steps[:start], steps[start:], value, place)
    elif kind == "grid":
        _assign_axis(document, steps[:start], steps[start:], value, place)
    else:
        assign(document, steps, value, place)


def _assign_axis(document: Document, grid: Steps, steps: Steps, value: Any, place: ConfigPlace) -> None:
    axes = _value_at(document, grid)
    name = _leading_key(axes, steps)
    if name is None:
        # A new axis of values has a config key for a name; the name of one of levels is a single word.
        levels = isinstance(value, dict) and not {"from", "to"} & value.keys()
        path = steps if levels else (dotted(steps),)
        assign(document, (*grid, *path), value, place)
        return
    inner = steps[len(steps_of(name) or (name,)) :]
    path = (*grid, name, *inner)
    if len(inner) > 1 and isinstance(_value_at(document, (*grid, name, inner[0])), dict):
        _assign_key(document, (*grid, name, inner[0]), inner[1:], value, place)
    else:
        assign(document, path, value, place)


def _assign_key(document: Document, path: Steps, steps: Steps, value: Any, place: ConfigPlace) -> None:
    """Sets a setting of the experiment in the mapping at a path: under the key that leads to it, or one of its own."""
    settings = _value_at(document, path)
    key = _leading_key(settings, steps)
    inner = steps[len(steps_of(key) or (key,)) :] if key is not None else ()
    if key is None or (inner and not isinstance(settings[key], (dict, list))):
        key, inner = dotted(steps), ()
    if not inner and isinstance(settings, dict):
        # What the value replaces as a whole is not laid over it afterwards.
        for other in [other for other in settings if (found := steps_of(other)) and found[: len(steps)] == steps]:
            if other != key:
                del settings[other]
    assign(document, (*path, key, *inner), value, place)


def _leading_key(settings: Any, steps: Steps) -> str | None:
    """Returns the key of a mapping of dotted keys that leads furthest along a path; None where none does."""
    if not isinstance(settings, dict):
        return None
    found = {key: steps_of(key) for key in settings if isinstance(key, str)}
    leading = [key for key, own in found.items() if own and steps[: len(own)] == own]
    return max(leading, key=lambda key: len(found[key] or ()), default=None)


def _value_at(document: Document, path: Steps) -> Any:
    value = document.value
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
