"""Presets in a config: their settings are filled in when it is read, under what the config sets itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from rolewise.config.document import Document
from rolewise.config.faults import Fault, Steps, dotted
from rolewise.errors import InputError
from rolewise.method_presets import Preset, method_preset, training_preset

_KEY = "preset"


def fill_presets(document: Document, on_note: Callable[[str], object] = lambda note: None) -> Document:
    """Returns a document with the settings of its presets in their place; one without presets is returned as it is.

    ``preset`` in an entry of ``methods`` gives the method's settings and, where the section around it sets none, the
    labels' weight; in a section ``train``, the training. What stands beside it counts.

    Args:
        document: an experiment's values, which stay as they are.
        on_note: called with a line on where each preset is from.
    """
    if not _has_presets(document.value):
        return document
    filled = replace(document, value=copy.deepcopy(document.value), faults=list(document.faults))
    for around, steps in _method_lists(filled.value):
        _fill_methods(filled, around, steps, on_note)
    for steps, network in _trainings(filled.value):
        _fill(filled, steps, on_note, partial(_training, network))
    return filled


def _has_presets(value: Any) -> bool:
    if isinstance(value, dict):
        return _KEY in value or any(_has_presets(one) for one in value.values())
    return isinstance(value, list) and any(_has_presets(one) for one in value)


def _method_lists(value: Any) -> Iterator[tuple[Steps, Steps]]:
    """Gives the path of each section that has methods, and that of the list."""
    sections: list[Steps] = [("distill",)]
    students = value.get("students") if isinstance(value, dict) else None
    for at, student in enumerate(students if isinstance(students, list) else ()):
        phases = student.get("phases") if isinstance(student, dict) else None
        sections += [("students", at, "phases", number) for number in range(len(phases or ()))]
    for section in sections:
        if isinstance(_at(value, (*section, "methods")), list):
            yield section, (*section, "methods")


def _trainings(value: Any) -> Iterator[tuple[Steps, str]]:
    """Gives the path of each section of a training, and the name of its network."""
    students = value.get("students") if isinstance(value, dict) else None
    owners: list[Steps] = [("teacher",)]
    owners += [("students", at) for at in range(len(students) if isinstance(students, list) else 0)]
    for owner in owners:
        if isinstance(_at(value, (*owner, "train")), dict):
            model = _at(value, (*owner, "model"))
            name = model.get("name") if isinstance(model, dict) else model
            yield (*owner, "train"), name if isinstance(name, str) else ""


def _at(value: Any, steps: Steps) -> Any:
    for step in steps:
        known = isinstance(value, list) and isinstance(step, int) and step < len(value)
        value = value[step] if known else value.get(step) if isinstance(value, dict) else None
    return value


def _training(network: str, name: object) -> tuple[dict[str, Any], str]:
    found = training_preset(name)
    return found.section(network), found.provenance


def _fill(
    document: Document,
    steps: Steps,
    on_note: Callable[[str], object],
    look_up: Callable[[object], tuple[dict[str, Any], str]],
) -> None:
    """Lays a section over the values of its preset."""
    section = _at(document.value, steps)
    if not isinstance(section, dict) or _KEY not in section:
        return
    name = section.pop(_KEY)
    try:
        given, provenance = look_up(name)
    except InputError as error:
        path = (*steps, _KEY)
        document.faults.append(Fault(document.place(path), dotted(path), error.rule))
        return
    merged = _under(given, section)
    section.clear()
    section.update(merged)
    on_note(f"{dotted(steps)}: {provenance}")


def _under(given: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Returns given values with one's own laid over them; another optimiser or schedule has none of them."""
    merged = dict(given)
    for key, value in own.items():
        below: Any = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict) and key != "weight"
        same = both and value.get("name", below.get("name")) == below.get("name")
        merged[key] = _under(below, value) if same else value
    return merged


def _fill_methods(document: Document, around: Steps, steps: Steps, on_note: Callable[[str], object]) -> None:
    section, found = _at(document.value, around), []
    for at, entry in enumerate(_at(document.value, steps)):
        if isinstance(entry, dict) and _KEY in entry:
            method = str(entry.get("method", entry.get("name")))

            def look_up(name: object, method: str = method) -> tuple[dict[str, Any], str]:
                preset = method_preset(method, str(name))
                found.append(preset)
                return dict(copy.deepcopy(dict(preset.settings))), preset.provenance

            _fill(document, (*steps, at), on_note, look_up)
    if found:
        _weigh_labels(document, section, around, found, on_note)


def _weigh_labels(
    document: Document, section: dict[str, Any], around: Steps, found: list[Preset], on_note: Callable[[str], object]
) -> None:
    """Gives the labels the weight of the presets where the section sets none."""
    weights = sorted({one.label_weight for one in found})
    path = (*around, "label_weight")
    if "label_weight" in section:
        if weights != [section["label_weight"]]:
            published = " and ".join(f"{one:g}" for one in weights)
            on_note(f"{dotted(path)}: {section['label_weight']}, where the presets beside it have {published}")
    elif len(weights) > 1:
        rule = f"must be given where presets differ in it ({' and '.join(f'{one:g}' for one in weights)}); add it"
        document.faults.append(Fault(document.place(path), dotted(path), rule))
    else:
        section["label_weight"] = weights[0]
