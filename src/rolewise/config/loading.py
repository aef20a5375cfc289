"""From a YAML file to a checked experiment, and back."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from rolewise.config.document import Document, override, read_document
from rolewise.config.faults import ConfigError, Fault, Place, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import near

Steps = tuple[str | int, ...]
#: Looks at a well-formed config and returns (path, message) for whatever else is wrong, such as an unknown model.
Check = Callable[[ExperimentConfig], Iterable[tuple[Steps, str]]]


def load(path: Path | str, overrides: Sequence[str] = (), *, check: Check | None = None) -> ExperimentConfig:
    """Reads an experiment from a YAML file.

    Args:
        path: the file.
        overrides: settings such as ``students[0].train.epochs=5``, laid over it.
        check: further checks, of names that the config cannot know itself.

    Raises:
        ConfigError: all faults, each with file, line, dotted path and remedy.
    """
    document = read_document(Path(path))
    for setting in overrides:
        override(document, setting)
    return validate(document, check=check)


def validate(document: Document, *, check: Check | None = None) -> ExperimentConfig:
    """Turns a document into a typed config (see `load`)."""
    try:
        # JSON in strict mode: a list is a tuple, but "3" is no number and 1 is no boolean.
        config = ExperimentConfig.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise ConfigError(_faults(error, document)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError([Fault(document.place(()), "", f"must hold plain values ({error})")]) from error
    if check is not None:
        found = [Fault(document.place(steps), dotted(steps), message) for steps, message in check(config)]
        if found:
            raise ConfigError(sorted(found, key=lambda fault: (fault.place.file, fault.place.line)))
    return config


def _faults(error: ValidationError, document: Document) -> list[Fault]:
    rules: dict[Steps, list[dict[str, Any]]] = {}
    for item in error.errors(include_url=False):
        rules.setdefault(_real_path(item, document.value), []).append(dict(item))
    faults = []
    for path, items in rules.items():
        got = _value_at(document.value, path)
        phrases = list(dict.fromkeys(_rule(item, path) for item in items))
        first = items[0]
        if first["type"] in ("extra_forbidden", "missing"):
            message = phrases[0]
        elif first["type"] == "value_error":
            message = phrases[0]
        else:
            message = " or ".join([phrases[0], *(phrase.removeprefix("must be ") for phrase in phrases[1:])])
            message += f", got {_show(got)}"
            if first["type"] == "literal_error" and isinstance(got, str):
                message += _near_literal(got, items)
        faults.append(Fault(document.place(path), dotted(path), message))
    return sorted(faults, key=lambda fault: (fault.place.file, fault.place.line))


def _real_path(item: dict[str, Any], value: Any) -> Steps:
    """Drops what pydantic puts into a path for the branches of a union: they are no keys of the document."""
    path: list[str | int] = []
    for step in item["loc"]:
        if isinstance(value, dict) and isinstance(step, str) and step in value:
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        elif item["type"] == "missing" and step == item["loc"][-1]:
            pass
        else:
            continue
        path.append(step)
    return tuple(path)


def _value_at(value: Any, path: Steps) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


_RULES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of settings",
    "model_attributes_type": "must be a mapping of settings",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "finite_number": "must be a finite number",
    "missing": "must be given; add it",
    "int_parsing_size": "must be a smaller whole number",
    "none_required": "must be left out",
    "string_pattern_mismatch": "must be lower-case letters, digits, _ and -, starting with a letter or digit",
}


def _rule(item: dict[str, Any], path: Steps) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        parent = dotted(path[:-1]) or "an experiment"
        return f'no such setting of "{parent}"{near(str(path[-1]), _fields_at(path[:-1]))}'
    bounds = {"greater_than_equal": ("at least", "ge"), "greater_than": ("above", "gt")}
    bounds |= {"less_than_equal": ("at most", "le"), "less_than": ("below", "lt")}
    if kind in bounds:
        words, key = bounds[kind]
        return f"must be {words} {context[key]:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "value_error":
        return str(context.get("error", item["msg"]))
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return f"must hold at least {least}" if kind == "too_short" else f"must hold at most {most}"
    if kind == "string_too_long":
        return f"must be at most {context['max_length']} characters"
    return _RULES.get(kind, "must be valid: " + str(item["msg"]).lower())


def _near_literal(got: str, items: list[dict[str, Any]]) -> str:
    known = [word.strip("' ") for item in items for word in item["ctx"]["expected"].replace(" or ", ",").split(",")]
    hint = near(got, known)
    return hint if "did you mean" in hint else ""


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
    return "nothing" if value is None else text if len(text) <= 60 else text[:57] + "..."


def _fields_at(path: Steps) -> list[str]:
    """Returns the settings that the schema knows at a path."""
    kind: Any = ExperimentConfig
    for step in path:
        if isinstance(step, int):
            continue
        model = _model_in(kind)
        if model is None or step not in model.model_fields:
            return []
        kind = model.model_fields[step].annotation
    model = _model_in(kind)
    return list(model.model_fields) if model is not None else []


def _model_in(kind: Any) -> type[BaseModel] | None:
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
        return kind
    for argument in typing.get_args(kind):
        if (model := _model_in(argument)) is not None:
            return model
    return None


def as_values(config: ExperimentConfig) -> dict[str, Any]:
    """Returns a config as plain values."""
    values: dict[str, Any] = config.model_dump(mode="json")
    return values


def dump(config: ExperimentConfig) -> str:
    """Returns a config as YAML with every default written out; reading it gives an equal config."""
    return yaml.dump(as_values(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes numbers as this package reads them, and quotes text that would be read as something else."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    from rolewise.config.document import parse

    node = dumper.represent_scalar("tag:yaml.org,2002:str", value)
    try:
        plain = parse(value, "").value == value
    except ConfigError:
        plain = False
    if not plain:
        node.style = '"'
    return node


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)

#: Settings that change how fast an experiment runs and nothing else.
_SPEED = ("workers",)


def digest(config: ExperimentConfig) -> str:
    """Returns what tells two experiments apart: a SHA-256 over everything that their results depend on."""
    values = {key: value for key, value in as_values(config).items() if key not in _SPEED}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def differences(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns what differs between two configs, a line for each: ``path: old -> new``."""
    before, after = dict(_leaves(as_values(old), ())), dict(_leaves(as_values(new), ()))
    lines = []
    for path in sorted({*before, *after}, key=dotted):
        if path[:1] and path[0] in _SPEED or before.get(path) == after.get(path):
            continue
        a, b = (_show(side[path]) if path in side else "(not there)" for side in (before, after))
        lines.append(f"{dotted(path)}: {a} -> {b}")
    return lines


def _leaves(value: Any, path: Steps) -> Iterable[tuple[Steps, Any]]:
    parts: Iterable[tuple[str | int, Any]]
    if isinstance(value, dict) and value:
        parts = value.items()
    elif isinstance(value, list) and value:
        parts = enumerate(value)
    else:
        yield path, value
        return
    for key, part in parts:
        yield from _leaves(part, (*path, key))


__all__ = ["Check", "ConfigError", "Place", "as_values", "differences", "digest", "dump", "load", "validate"]
