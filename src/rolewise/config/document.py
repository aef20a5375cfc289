"""Reads YAML into plain values and remembers on which line each of them stands; nothing is ever executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rolewise.config.faults import ConfigError, Fault, Place, dotted

_INTEGER = re.compile(r"[-+]?\d{1,18}$")
_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$")
#: A file deeper or larger than this is no config.
_DEEPEST, _LARGEST = 30, 20_000


@dataclass
class Document:
    """A value and where its parts stand.

    Args:
        value: of plain mappings, lists, text, numbers, booleans and None.
        places: path -> file and line.
    """

    value: Any
    places: dict[tuple[str | int, ...], Place] = field(default_factory=dict)

    def place(self, path: tuple[str | int, ...]) -> Place:
        """Returns where a path stands, or the nearest thing around it that stands anywhere."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place("", 0))


def read_document(path: Path, _above: tuple[Path, ...] = ()) -> Document:
    """Reads a YAML file and, where it says ``extends: other.yaml``, lays it over that file.

    Mappings are merged key by key; lists and values of the upper file replace those of the lower one.

    Raises:
        ConfigError: the file is missing, no YAML, or extends itself.
    """
    where = Place(str(path), 1)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(where, "", f"cannot be read: {error.strerror or error}; check the path")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(where, "", f"must be UTF-8 text ({error.reason} at byte {error.start}); save it so")]) from error
    document = parse(text, str(path))
    if not isinstance(document.value, dict):
        raise ConfigError([Fault(where, "", f"must be a mapping of settings, got {_kind(document.value)}; see docs/config.md")])
    base = document.value.pop("extends", None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise ConfigError([Fault(document.place(("extends",)), "extends", f"must be a file's name, got {base!r}")])
    below = (path.parent / base).resolve()
    chain = (*_above, path.resolve())
    if below in chain:
        raise ConfigError([Fault(document.place(("extends",)), "extends", f"must not lead back to itself, got {base}")])
    return merge(read_document(path.parent / base, chain), document)


def parse(text: str, name: str) -> Document:
    """Parses YAML text.

    ``1e-3`` is a number; only ``true`` and ``false`` are booleans (``yes``, ``no``, ``on``, ``off`` are text).

    Raises:
        ConfigError: it is no YAML, a key stands twice, or it holds a tag.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        place = Place(name, mark.line + 1 if mark else 1)
        raise ConfigError([Fault(place, "", f"must be YAML: {problem}; mend the line or the one before it")]) from error
    except (RecursionError, ValueError) as error:
        raise ConfigError([Fault(Place(name, 1), "", f"must be YAML of plain values ({error}); make it flatter")]) from error
    document = Document(None)
    faults: list[Fault] = []
    if node is not None:
        document.value = _convert(node, (), name, document, faults, [0])
    if faults:
        raise ConfigError(faults)
    return document


def _convert(
    node: yaml.Node, path: tuple[str | int, ...], name: str, document: Document, faults: list[Fault], count: list[int]
) -> Any:
    place = Place(name, node.start_mark.line + 1)
    document.places[path] = place
    count[0] += 1
    if len(path) > _DEEPEST or count[0] > _LARGEST:
        if count[0] <= _LARGEST + 1:
            faults.append(Fault(place, dotted(path), f"must be at most {_DEEPEST} levels deep and {_LARGEST} values large"))
        count[0] = _LARGEST + 1
        return None
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.split(":", 2)[2].startswith("python"):
        faults.append(Fault(place, dotted(path), f"must not have a tag, got {node.tag}; write a plain value"))
        return None
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_convert(child, (*path, index), name, document, faults, count) for index, child in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, child in node.value:
        line = Place(name, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            faults.append(Fault(line, dotted(path), "must have text as keys; write a name before the colon"))
            continue
        key = str(key_node.value)
        if key in result:
            faults.append(Fault(line, dotted((*path, key)), "must stand once; remove one of the two"))
            continue
        result[key] = _convert(child, (*path, key), name, document, faults, count)
        document.places[(*path, key)] = line
    return result


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text


def merge(lower: Document, upper: Document) -> Document:
    """Lays one document over another."""
    value = _merged(lower.value, upper.value)
    return Document(value, {**lower.places, **upper.places})


def _merged(lower: Any, upper: Any) -> Any:
    if isinstance(lower, Mapping) and isinstance(upper, Mapping):
        result = dict(lower)
        for key, value in upper.items():
            result[key] = _merged(lower[key], value) if key in lower else value
        return result
    return upper


def override(document: Document, setting: str) -> None:
    """Sets one value, as ``--set data.name=mnist`` or ``--set students[0].train.epochs=5`` does.

    Raises:
        ConfigError: the setting is not of that form, or leads through something that is no mapping or list.
    """
    path_text, equals, value_text = setting.partition("=")
    place = Place(f"--set {setting}", 0)
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[\d+\])*", path_text):
        raise ConfigError([Fault(place, "", "must read path.to.key=value, such as students[0].train.epochs=5")])
    steps = _steps(path_text)
    value = parse(value_text, place.file).value
    current = document.value
    for position, step in enumerate(steps[:-1]):
        following = _enter(current, step)
        if following is None and isinstance(current, dict) and isinstance(step, str):
            following = current[step] = {}
        if not isinstance(following, (dict, list)):
            around = dotted(tuple(steps[: position + 1]))
            raise ConfigError([Fault(place, around, "must be a mapping or a list that has this place; check the path")])
        current = following
    last = steps[-1]
    if isinstance(current, dict) and isinstance(last, str):
        current[last] = value
    elif isinstance(current, list) and isinstance(last, int) and last < len(current):
        current[last] = value
    else:
        raise ConfigError([Fault(place, dotted(tuple(steps)), "must name a place that exists; check the path")])
    document.places = {path: known for path, known in document.places.items() if path[: len(steps)] != tuple(steps)}
    document.places[tuple(steps)] = place


def _steps(path: str) -> list[str | int]:
    return [int(index) if index else key for key, index in re.findall(r"([A-Za-z_]\w*)|\[(\d+)\]", path)]


def _enter(current: Any, step: str | int) -> Any:
    if isinstance(current, dict):
        return current.get(step)
    if isinstance(current, list) and isinstance(step, int) and step < len(current):
        return current[step]
    return None


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
    return kinds.get(type(value), repr(value))
