"""Messages in plain language for faulty settings: one for each setting, whatever its type is a union of."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from rolewise.errors import InputError, dotted, near
from rolewise.typed_values import RULES
from rolewise.words import quoted_value

#: The way to a setting.
_Steps = tuple[str | int, ...]
_RULES = RULES | {
    "string_pattern_mismatch": "lower-case letters, digits, _ and -, starting with a letter or digit",
}
#: What pydantic calls it where a mapping was expected.
_OF_SECTIONS = ("model_type", "model_attributes_type", "dict_type")
#: What older YAML reads as true and false, and we as text.
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}


def messages_of(error: ValidationError, value: Any, kind: type[BaseModel], owner: str) -> dict[_Steps, str]:
    """Returns one message for each setting that a schema refuses, by path.

    Args:
        error: as the schema raised it.
        value: the settings that were given.
        kind: the schema.
        owner: name of the whole of the settings.
    """
    found: dict[_Steps, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        found.setdefault(real_path(item, value), []).append(item)
    # A mapping with a fault in it is no number either, where a number might have stood: that is no fault of its own.
    deeper = {path[:length] for path in found for length in range(len(path))}
    found = {path: items for path, items in found.items() if path not in deeper or not _of_kind_alone(items)}
    return {path: _message(items, path, value_at(value, path), kind, owner) for path, items in found.items()}


def _of_kind_alone(items: list[Mapping[str, Any]]) -> bool:
    return all(item["type"].endswith("_type") for item in items)


def real_path(item: Mapping[str, Any], value: Any) -> _Steps:
    """Drops what pydantic puts into a path for the branches of a union: they are no keys of the document."""
    path: list[str | int] = []
    for position, step in enumerate(item["loc"]):
        is_last = position == len(item["loc"]) - 1
        in_mapping = isinstance(value, dict) and isinstance(step, str) and step in value
        in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if in_mapping or in_list:
            value = value[step]
        elif not (item["type"] == "missing" and is_last):
            continue
        path.append(step)
    # A rule about several settings names the one that is to change.
    error = item.get("ctx", {}).get("error")
    return (*path, *error.path) if isinstance(error, InputError) else tuple(path)


def value_at(value: Any, path: _Steps) -> Any:
    """Returns the value at a path; None where there is none."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _message(items: list[Mapping[str, Any]], path: _Steps, got: Any, kind: type[BaseModel], whole: str) -> str:
    first = items[0]
    context = first.get("ctx", {})
    if first["type"] == "missing":
        return "must be given; add it"
    if first["type"] == "extra_forbidden":
        owner = dotted(path[:-1]) or whole
        return f'no such setting of "{owner}"{near(str(path[-1]), _fields_at(path[:-1], kind))}'
    if first["type"] == "value_error":
        error = context["error"]
        return error.rule if isinstance(error, InputError) else str(error)
    if first["loc"][-1] == "[key]":
        known = _words(context["expected"])
        return f"must be one of {', '.join(known)}, got {quoted_value(path[-1])}{_meant(str(path[-1]), known)}"
    phrases = list(dict.fromkeys(_rule(item) for item in items))
    message = f"must be {' or '.join(phrases)}, got {quoted_value(got)}"
    if first["type"] == "literal_error" and isinstance(got, str):
        message += _meant(got, _words(context["expected"]))
    elif not isinstance(got, Mapping) and (known := _settings_for(items, path, kind)):
        named = isinstance(got, str) and "name" in known
        key = f"{path[-1]}: " if isinstance(path[-1], str) else ""
        message += f"; write {key}{{name: {got}}}" if named else f"; its settings: {', '.join(known)}"
    elif phrases == [_RULES["dict_type"]] and isinstance(got, str) and path[-2:-1] == ("methods",):
        message += f"; write {{name: {got}}}"
    elif phrases == [_RULES["list_type"]] and not isinstance(got, Mapping | None):
        message += f"; write [{_SWITCHES.get(str(got), got)}]"
    elif isinstance(got, str) and got in _SWITCHES and "true or false" in message:
        message += f"; write {_SWITCHES[got]}"
    return message


def _rule(item: Mapping[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        bound = context[key]
        return f"{words} {bound:,}" if isinstance(bound, int) else f"{words} {bound:g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "too_short":
        return f"a list of at least {context['min_length']}"
    if kind == "too_long":
        return f"a list of at most {context['max_length']}"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters long"
    return _RULES.get(kind, "of another kind (" + str(item["msg"]).lower() + ")")


def _words(expected: str) -> list[str]:
    return [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]


def _meant(got: str, known: list[str]) -> str:
    hint = near(got, known)
    return hint if "did you mean" in hint else ""


def _settings_for(items: list[Mapping[str, Any]], path: _Steps, kind: type[BaseModel]) -> list[str]:
    """Returns the settings of a section that something else was given for; empty where no section may stand there."""
    if not path or any(item["type"] not in _OF_SECTIONS for item in items):
        return []
    return _fields_at(path, kind)


def _fields_at(path: _Steps, whole: type[BaseModel]) -> list[str]:
    """Returns the settings that the schema knows at a path."""
    kind: Any = whole
    for step in path:
        section = _section_in(kind)
        # A place in a list and a key of a mapping of sections lead to the section that both hold.
        if isinstance(step, str) and section is not None and step in section.model_fields:
            kind = section.model_fields[step].annotation
    section = _section_in(kind)
    return list(section.model_fields) if section is not None else []


def _section_in(kind: Any) -> type[BaseModel] | None:
    # In Python 3.10 list[int] passes for a type.
    if typing.get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    for argument in typing.get_args(kind):
        if (section := _section_in(argument)) is not None:
            return section
    return None
