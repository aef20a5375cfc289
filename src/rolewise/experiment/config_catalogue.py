"""Every key that a config or a study may hold, settings of methods and data sets among them, found by its name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rolewise.config.key_reference import ConfigKey, config_keys, descriptions, kind_of_values, plain_text
from rolewise.config.schema import ExperimentConfig
from rolewise.config.study import StudySection
from rolewise.data import READERS
from rolewise.data.argument_texts import ARGUMENT_TEXTS
from rolewise.data.arguments import Rule, reader_settings
from rolewise.distill import COMBINATIONS, METHODS, method_settings
from rolewise.errors import InputError, near
from rolewise.typed_values import written_types

_METHODS, _DATA = "distill.methods", "data.arguments"
#: The settings that every method has, or every one that reads features.
_SHARED = {
    "weight": ("number from 0, or a section of a course over training (docs/methods.md)", "weight of the term."),
    "student_taps": ("text or list: text", "places in the student that are read: names of taps, or paths of modules."),
    "teacher_taps": ("text or list: text", "places in the teacher that are read, one for each of the student's."),
}
#: The keys of a method's section that are no settings of its loss.
_OF_SECTION = (
    ConfigKey(
        f"{_METHODS}[].name",
        "text",
        "",
        "key of a method or ``package.module:name``; the term's own name where ``method`` is given.",
    ),
    ConfigKey(f"{_METHODS}[].method", "text", "null", "key of a method, for one that is listed twice by other names."),
)


def experiment_keys() -> list[ConfigKey]:
    """Returns every key of an experiment's config, in order; those of methods follow `distill.methods`."""
    found = list(config_keys(ExperimentConfig))
    at = next(place for place, key in enumerate(found) if key.path == _METHODS) + 1
    return [*found[:at], *_OF_SECTION, *found[at:]]


def study_keys() -> list[ConfigKey]:
    """Returns every key of a study's own, in order."""
    return list(config_keys(StudySection))


def method_keys() -> dict[str, list[ConfigKey]]:
    """Returns the settings of every registered method and combination of methods, by its key."""
    found = {name: list(_settings(name, METHODS[name].loss, method_settings(name))) for name in METHODS}
    for name in COMBINATIONS:
        parameters = inspect.signature(COMBINATIONS[name]).parameters.items()
        found[name] = list(_settings(name, COMBINATIONS[name], {key: one.default for key, one in parameters}))
    return found


def reader_keys() -> dict[str, list[ConfigKey]]:
    """Returns the settings of every registered data set's reader, by its name."""
    return {name: list(_reader_settings(name)) for name in READERS}


def _reader_settings(name: str) -> Iterator[ConfigKey]:
    reader = READERS[name]
    texts, hints = descriptions(reader), written_types(reader)
    for key, default in reader_settings(name).items():
        rules = [one for one in getattr(hints.get(key), "__metadata__", ()) if isinstance(one, Rule)]
        kind = rules[0].words if rules else kind_of_values(hints.get(key, type(default)))
        shown = "" if default is inspect.Parameter.empty else plain_text(default)
        yield ConfigKey(f"{_DATA}.{name}.{key}", kind, shown, texts.get(key) or ARGUMENT_TEXTS.get(key, ""))


def _settings(name: str, owner: Any, defaults: Mapping[str, Any]) -> Iterator[ConfigKey]:
    texts, function = descriptions(owner), vars(owner)["__init__"] if isinstance(owner, type) else inspect.unwrap(owner)
    hints = written_types(function)
    for key, default in defaults.items():
        kind, text = _SHARED.get(key, ("", ""))
        kind = kind or kind_of_values(hints.get(key, type(default)))
        yield ConfigKey(f"{_METHODS}.{name}.{key}", kind, plain_text(default), text or texts.get(key, ""))


def find_keys(name: str) -> list[ConfigKey]:
    """Returns the keys of a path, or those that end in it.

    Args:
        name: a path such as ``search.members`` or ``students[0].train.epochs``, the end of some such as ``epochs``,
            ``distill.methods.kd`` and ``kd.temperature`` for a method's settings, or ``image_folder.size`` for one of
            a data set.

    Raises:
        InputError: no key is called so.
    """
    named = [*method_keys().values(), *reader_keys().values()]
    keys = [*experiment_keys(), *study_keys(), *(key for keys in named for key in keys)]
    wanted, known = _canonical(name), [(_canonical(key.path), key) for key in keys]
    whole = [key for path, key in known if path == wanted]
    within = [
        key for path, key in known if path.startswith(f"{wanted}.") and wanted.startswith((f"{_METHODS}.", f"{_DATA}."))
    ]
    if found := whole or within or [key for path, key in known if path.endswith(f".{wanted}")]:
        return found
    ends = {path.rpartition(".")[2] for path, _ in known} | {path for path, _ in known}
    hint = near(wanted, ends)
    raise InputError(
        f"no key of a config is called {name!r}{hint if 'did you mean' in hint else ''}; rolewise explain lists all"
    )


def _canonical(path: str) -> str:
    """Returns a path without places in lists."""
    return re.sub(r"\[\w*\]|\.\d+(?=\.|$)", "", path.strip())
