"""Reads YAML into plain values and remembers on which line each of them stands; nothing is ever executed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rolewise.config.faults import ConfigError, ConfigPlace, Fault, Steps, dotted
from rolewise.config.yaml_scalars import kind, plain, strange_character
from rolewise.errors import InputError
from rolewise.files import open_regular

#: A file deeper or larger than this is no config, and a few aliases can make a short file enormous.
_DEEPEST, _LARGEST, _LARGEST_FILE, _LONGEST_CHAIN = 30, 20_000, 2**18, 20
_TOO_MUCH = f"must be at most {_DEEPEST} levels deep and {_LARGEST} values large; make it flatter or smaller"


@dataclass
class Document:
    """A value and where its parts stand.

    Args:
        value: of plain mappings, lists, text, numbers, booleans and None.
        places: path -> file and line.
        faults: faults of single values as YAML; the rest can be read and checked all the same.
        files: the files that it was read from, those that are extended among them.
    """

    value: Any
    places: dict[Steps, ConfigPlace] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    files: tuple[Path, ...] = ()

    def place(self, path: Steps) -> ConfigPlace:
        """Returns the position of a path, or of the nearest part of it that has one."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, ConfigPlace("", 0))


def read_document(
    path: Path, _above: tuple[Path, ...] = (), _named_at: tuple[ConfigPlace, str] | None = None
) -> Document:
    """Reads a YAML file and, where it has ``extends: other.yaml``, lays it over that file.

    Mappings are merged key by key; lists and values of the upper file replace those of the lower one.

    Raises:
        ConfigError: the file is missing, no YAML, or extends itself.
    """
    where = ConfigPlace(str(path), 1)
    named = _named_at or (where, "")
    try:
        with open_regular(path, "config") as file:
            content = file.read(_LARGEST_FILE + 1)
        chain = (*_above, path.resolve())
    except (OSError, InputError, RuntimeError) as error:  # RuntimeError: a loop of links
        why = getattr(error, "strerror", None) or str(error).removeprefix(f"config {path} ").partition("; ")[0]
        why = why.removeprefix("cannot be read: ")
        text = f"must be a file that can be read, got {str(path)!r} ({why}); {_path_remedy(path)}"
        raise ConfigError.of(*named, text) from error
    if len(content) > _LARGEST_FILE:
        raise ConfigError.of(*named, f"must be at most {_LARGEST_FILE // 1024} KiB large; is {path} a config?")
    if chain[-1] in _above or len(chain) > _LONGEST_CHAIN:
        raise ConfigError.of(*named, f"must not lead back to itself, got {path.name!r}; take it out of one file")
    try:
        document = parse(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        where = ConfigPlace(str(path), content.count(b"\n", 0, error.start) + 1)
        remedy = "save it as UTF-8" if path.suffix in (".yaml", ".yml") else "give a config, a file of YAML"
        text = f"must be UTF-8 text, got byte {content[error.start]:#04x}; {remedy}"
        raise ConfigError.of(where, "", text) from error
    if not isinstance(document.value, dict):
        text = f"must be a mapping of settings, got {kind(document.value)}; see docs/config.md"
        raise ConfigError([*document.faults, Fault(where, "", text)])
    document.files = (path,)
    base = document.value.pop("extends", None)
    if base is None:
        return document
    place = document.place(("extends",))
    if not isinstance(base, str):
        text = f"must be the name of another file, got {kind(base)}; write extends: other.yaml"
        raise ConfigError.of(place, "extends", text)
    return merge(read_document(path.parent / base, chain, (place, "extends")), document)


def _path_remedy(path: Path) -> str:
    """Returns the remedy for a path that is no file: the configs in a folder, where it is one."""
    with contextlib.suppress(OSError, ValueError):
        if found := sorted(one.name for one in path.glob("*.yaml")):
            return f"did you mean {' or '.join(str(path / name) for name in found[:3])}?"
    return "check the path"


class _Loader(yaml.BaseLoader):
    """Composes nodes, knows which of them had a tag, and keeps the path to the place of a syntax error."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.path: list[str | int] = []
        self.file = name
        self.tagged: list[yaml.Node] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        step = index.value if isinstance(index, yaml.ScalarNode) else index
        self.path += [step] if isinstance(step, (str, int)) else []
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if len(self.path) > _DEEPEST:
            place = ConfigPlace(self.file, event.start_mark.line + 1)
            raise ConfigError.of(place, dotted(self.path[:3]), _TOO_MUCH)
        node: yaml.Node | None = super().compose_node(parent, index)
        if getattr(event, "tag", None) and node is not None:
            self.tagged.append(node)
        del self.path[len(self.path) - isinstance(step, (str, int)) :]
        return node


def parse(yaml_text: str, name: str) -> Document:
    """Parses YAML text.

    ``1e-3`` is a number; only ``true`` and ``false`` are booleans (``yes``, ``no``, ``on``, ``off`` are text). A key
    that stands twice, a tag, or a control character becomes a fault of the document.

    Raises:
        ConfigError: it is no YAML, or too deep or too large.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(yaml_text, name)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else yaml_text.count("\n", 0, getattr(error, "position", 0)) + 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        path = dotted(loader.path) if loader else ""
        text = f"must be YAML: {problem}; mend this line or the one before it"
        raise ConfigError.of(ConfigPlace(name, line), path, text) from error
    except (RecursionError, ValueError, OverflowError) as error:  # keys within keys; an escape beyond Unicode
        path = dotted(loader.path) if loader else ""
        raise ConfigError.of(
            ConfigPlace(name, 1), path, f"must be YAML of plain values ({error}); write it so"
        ) from error
    reader = _Reader(name, {id(tagged) for tagged in loader.tagged})
    if node is not None:
        reader.document.value = reader.value(node, ())
    reader.document.places.setdefault((), ConfigPlace(name, 1))
    return reader.document


class _Reader:
    """Turns nodes into plain values, and writes down where they stand."""

    def __init__(self, name: str, tagged: set[int]) -> None:
        self.document = Document(None)
        self._name, self._tagged, self._count = name, tagged, 0

    def value(self, node: yaml.Node, path: Steps) -> Any:
        place = self.document.places[path] = ConfigPlace(self._name, node.start_mark.line + 1)
        self._count += 1
        if len(path) > _DEEPEST or self._count > _LARGEST:
            raise ConfigError.of(place, dotted(path[:3]), _TOO_MUCH)
        if id(node) in self._tagged:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            return self._refuse(place, path, f"must not have a tag, got {tag!r}; write a plain value")
        if isinstance(node, yaml.ScalarNode):
            text = str(node.value)
            if strange := strange_character(text):
                return self._refuse(place, path, f"must be text without control characters, got {strange}; remove it")
            return plain(text) if node.style is None else text
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        result: dict[str, Any] = {}
        for key_node, child in node.value:
            line = ConfigPlace(self._name, key_node.start_mark.line + 1)
            key = str(key_node.value)
            if not isinstance(key_node, yaml.ScalarNode) or id(key_node) in self._tagged:
                self._refuse(line, path, "must have text as keys; write a name before the colon")
            elif strange := strange_character(key):
                self._refuse(line, path, f"must have keys without control characters, got {strange}; remove it")
            elif key in result:
                self._refuse(line, (*path, key), "must stand once, got it again; remove one of the two")
            else:
                result[key] = self.value(child, (*path, key))
                self.document.places[(*path, key)] = line
        return result

    def _refuse(self, place: ConfigPlace, path: Steps, message: str) -> None:
        self.document.faults.append(Fault(place, dotted(path), message))


def merge(lower: Document, upper: Document) -> Document:
    """Lays one document over another."""
    places = dict(lower.places)
    value = _merged(lower.value, upper.value, (), places)
    return Document(value, {**places, **upper.places}, [*lower.faults, *upper.faults], (*lower.files, *upper.files))


def _merged(lower: Any, upper: Any, path: Steps, places: dict[Steps, ConfigPlace]) -> Any:
    if isinstance(lower, Mapping) and isinstance(upper, Mapping):
        result = dict(lower)
        if upper.get("name", lower.get("name")) != lower.get("name") and "arguments" in result:
            # They are of the model or the data set that has been replaced.
            forget(places, (*path, "arguments"))
            del result["arguments"]
        for key, value in upper.items():
            result[key] = _merged(lower[key], value, (*path, key), places) if key in lower else value
        return result
    forget(places, path)
    return upper


def forget(places: dict[Steps, ConfigPlace], path: Steps) -> None:
    """Drops the places of a value that is replaced: they would name lines that have nothing to do with the new one."""
    for known in [known for known in places if known[: len(path)] == path]:
        del places[known]
