"""Reads YAML whose tags stand for code, as torchdistill's do, into plain values: nothing is imported or called."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rolewise.errors import InputError
from rolewise.files import read_text

#: Deeper or larger than this is no config; a few aliases can make a short file enormous.
_DEEPEST, _LARGEST = 60, 200_000
_PLAIN = "tag:yaml.org,2002:"
#: Keys of the mappings that stand for tags.
CALL, GET, ATTRIBUTE, ITEM, TAG = "!call", "!get", "!getattr", "!item", "!tag"


def read_tagged(path: Path) -> Any:
    """Returns the values of a YAML file; what a tag stands for is a mapping.

    ``!join`` gives the joined text. ``!import_call`` gives ``{"!call": name, "kwargs": {...}, "args": [...]}``,
    ``!import_get`` ``{"!get": name}``, ``!getattr`` ``{"!getattr": [object, name]}``, ``!access_by_index_or_key`` the
    part that is meant where it is written in the file, else ``{"!item": [object, key]}``; any other tag
    ``{"!tag": name, "value": value}``.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read, is no YAML, or is too deep or too large.
    """
    loader = yaml.SafeLoader(read_text(path, "config"))
    try:
        node = loader.get_single_node()
        return None if node is None else _Values(loader).value(node, 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line} must be YAML: {getattr(error, 'problem', None) or error}") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path} must be YAML of plain values ({error})") from error
    finally:
        loader.dispose()


class _Values:
    """Turns nodes into values and counts them."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader, self._count = loader, 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self._count += 1
        if depth > _DEEPEST or self._count > _LARGEST:
            raise InputError(f"a config must be at most {_DEEPEST} levels deep and {_LARGEST:,} values large")
        plain = node.tag.startswith(_PLAIN)
        if isinstance(node, yaml.ScalarNode):
            if plain:
                return self._loader.construct_object(node)
            return {TAG: node.tag, "value": node.value}
        if isinstance(node, yaml.SequenceNode):
            items = [self.value(child, depth + 1) for child in node.value]
            return items if plain else _tagged(node.tag, items)
        found: dict[Hashable, Any] = {}
        for key_node, child in node.value:
            if key_node.tag == f"{_PLAIN}merge":
                merged = self.value(child, depth + 1)
                for one in merged if isinstance(merged, list) else [merged]:
                    found = {**one, **found} if isinstance(one, dict) else found
                continue
            key = self.value(key_node, depth + 1)
            found[key if isinstance(key, Hashable) else str(key)] = self.value(child, depth + 1)
        return found if plain else _tagged(node.tag, found)


def _tagged(tag: str, value: Any) -> Any:
    if tag == "!join" and isinstance(value, list) and not any(isinstance(part, (dict, list)) for part in value):
        return "".join("" if part is None else str(part) for part in value)
    if isinstance(value, dict) and tag in ("!import_call", "!import_call_method"):
        given = value.get("init") or {}
        given = given if isinstance(given, dict) else {}
        return {CALL: value.get("key"), "kwargs": given.get("kwargs") or {}, "args": given.get("args") or []}
    if isinstance(value, dict) and tag == "!import_get":
        return {GET: value.get("key")}
    if isinstance(value, list) and tag == "!getattr" and len(value) == 2:
        return {ATTRIBUTE: value}
    if isinstance(value, dict) and tag == "!access_by_index_or_key":
        return _part(value.get("data"), value.get("index_or_key"))
    return {TAG: tag, "value": value}


def _part(data: Any, key: Any) -> Any:
    if isinstance(data, list) and isinstance(key, int) and -len(data) <= key < len(data):
        return data[key]
    if isinstance(data, dict) and CALL not in data and isinstance(key, Hashable) and key in data:
        return data[key]
    return {ITEM: [data, key]}
