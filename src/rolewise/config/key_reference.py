"""Every key of a config: its path, kind of value, default and description, read off the typed sections."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rolewise.config.yaml_scalars import quoted_value
from rolewise.strict_settings import Section

#: The default of a section that may be left out.
BELOW = "that of its keys"


@dataclass(frozen=True)
class ConfigKey:
    """One key of a config.

    Args:
        path: its dotted path; ``[]`` stands for a place in a list, ``NAME`` for a key of one's own.
        kind: its values, in words.
        default: the value where it is left out, as in a config; empty where it must be given.
        text: its description; empty where it has none.
        section: the section that it opens, if any.
    """

    path: str
    kind: str
    default: str
    text: str
    section: type[Section] | None = None


def config_keys(section: type[Section], above: str = "") -> Iterator[ConfigKey]:
    """Yields every key of a section and of the sections within it, in their order.

    Args:
        section: the section, such as `rolewise.config.ExperimentConfig`.
        above: the path of the section; empty for a whole file.
    """
    texts, hints = descriptions(section), typing.get_type_hints(section, include_extras=True)
    for name, field in section.model_fields.items():
        key = field.alias or name
        path = f"{above}.{key}" if above else key
        inner, suffix = _section_in(hints[name])
        yield ConfigKey(path, kind_of_values(hints[name], field), _default(field), texts.get(name, ""), inner)
        if inner is not None:
            yield from config_keys(inner, path + suffix)


def descriptions(owner: Any) -> dict[str, str]:
    """Returns the texts of the entries of Args in the docstrings of a class and its bases, or of a function."""
    found: dict[str, str] = {}
    for part in reversed(owner.__mro__) if isinstance(owner, type) else [inspect.unwrap(owner)]:
        entries = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(part.__doc__ or ""), re.S | re.M)
        text = inspect.cleandoc("\n" + entries[1]) if entries else ""
        for name, words in re.findall(r"^(\w+): (.*(?:\n .*)*)", text, re.M):
            found[name] = " ".join(words.split())
    return found


def kind_of_values(hint: Any, field: FieldInfo | None = None) -> str:
    """Returns the values that a type admits, in words.

    Args:
        hint: the type, with its annotations.
        field: the setting, whose own bounds count too.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        words = next((one.description for one in arguments[1:] if getattr(one, "description", None)), None)
        return words or f"{kind_of_values(arguments[0])}{_bounds(arguments[1:])}"
    if origin in (Union, types.UnionType):
        # None is the default of what may be left out, and stands there.
        kinds = [kind_of_values(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(kinds)) + (" or null" if type(None) in arguments else "")
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        many = len(arguments) == 2 and arguments[1] is Ellipsis
        return f"list: {kind_of_values(arguments[0])}" if many else f"list of {len(arguments)}: " + _each(arguments)
    if origin is dict:
        return f"mapping: {kind_of_values(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "section"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(hint, "any value")


def _each(arguments: tuple[Any, ...]) -> str:
    return " and ".join(dict.fromkeys(map(kind_of_values, arguments)))


def _bounds(metadata: tuple[Any, ...]) -> str:
    """Returns the bounds of a number or a text, to stand behind its kind."""
    limits: dict[str, Any] = {}
    for one in metadata:
        for part in one.metadata if isinstance(one, FieldInfo) else [one]:
            limits |= {name: getattr(part, name) for name in ("ge", "gt", "le", "lt") if hasattr(part, name)}
            limits |= {name: getattr(part, name) for name in ("min_length", "max_length") if hasattr(part, name)}
    # Bounds of numbers are written without a fraction that they have not.
    limits = {name: int(one) if one is not None and one == int(one) else one for name, one in limits.items()}
    words = [
        f"{word} {limits[name]:,}"
        for name, word in (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
        if limits.get(name) is not None
    ]
    if "ge" in limits and "le" in limits:
        words = [f"from {limits['ge']:,} to {limits['le']:,}"]
    if (most := limits.get("max_length")) is not None:
        words.append(f"of at most {most:,} characters")
    return f" {' and '.join(words)}" if words else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return BELOW
    return "[]" if value == () else plain_text(value)


def plain_text(value: Any) -> str:
    """Returns a value as a config has it, in one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(plain_text, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {plain_text(one)}" for key, one in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) and value else quoted_value(value)


def _section_in(hint: Any) -> tuple[type[Section] | None, str]:
    """Returns the section that a type holds, and the steps that lead to it."""
    if isinstance(hint, type) and typing.get_origin(hint) is None and issubclass(hint, Section):
        return hint, ""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    steps = {tuple: "[]", dict: ".NAME"}.get(origin, "") if origin is not None else ""
    for argument in arguments[1:] if origin is dict else arguments[:1] if origin is Annotated else arguments:
        inner, below = _section_in(argument)
        if inner is not None:
            return inner, steps + below
    return None, ""
