"""The classes of a teacher that stand for the data's, where it was trained on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError, near
from rolewise.files import read_json, sha256
from rolewise.models.zoo import in_zoo, zoo_card

#: Where the map is in a config.
_STEPS = ("teacher", "label_map")


@dataclass(frozen=True)
class ClassMap:
    """Some classes of a network, in the order of the data's.

    Args:
        indices: K numbers, each once.
        classes: number of the network's classes, above all of them.
    """

    indices: tuple[int, ...]
    classes: int


def class_map(config: ExperimentConfig, names: Sequence[str] | Callable[[], Sequence[str]]) -> ClassMap | None:
    """Returns the classes of the teacher that stand for the data's; None where they are the data's.

    Args:
        config: the experiment.
        names: of the data's K classes, or a function that reads them.

    Raises:
        InputError: the number of the teacher's classes is unknown, or the map does not give each class of the data one
            of the teacher's, each once; the path of the error is that of the setting.
    """
    section = config.teacher.label_map
    if section is None:
        return None
    whole = section.classes
    if whole is None and in_zoo(config.teacher.model.name):
        whole = zoo_card(config.teacher.model.name).classes
    if whole is None:
        raise _fault("must have the number of the teacher's classes; write label_map: {classes: 1000, to: ...}")
    to: Any = section.to if not isinstance(section.to, str) else _read(Path(section.to))
    known = list(names() if callable(names) else names)
    indices = _by_name(to, known) if isinstance(to, Mapping) else list(to)
    if len(indices) != len(known):
        raise _fault(
            f"must have a class of the teacher for each of the data's {len(known)} classes, in their order, got "
            f"{len(indices)}; the data's are {_few(known)}"
        )
    if too_large := [index for index in indices if index >= whole]:
        raise _fault(f"must have numbers below {whole}, that of the teacher's classes, got {too_large[0]}; correct it")
    if twice := [index for index in indices if indices.count(index) > 1]:
        at = [known[place] for place, index in enumerate(indices) if index == twice[0]]
        raise _fault(f"must have each class of the teacher once, got {twice[0]} for {_few(at)}; correct it")
    return ClassMap(tuple(indices), whole)


def map_key(config: ExperimentConfig) -> Any:
    """Returns the part of a content key that stands for the map: its settings, or the digest of its file."""
    section = config.teacher.label_map
    if section is None:
        return None
    values = section.model_dump(mode="json")
    return {**values, "to": sha256(Path(section.to), "label map")} if isinstance(section.to, str) else values


def _fault(rule: str) -> InputError:
    return InputError(f"teacher.label_map {rule}", path=_STEPS, rule=rule)


def _read(path: Path) -> Any:
    try:
        found = read_json(path, "label map")
    except InputError as error:
        raise _fault(f"must be a JSON file where it is a path: {error}") from error
    values = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
        raise _fault(f"must hold a list of class numbers, or a mapping of names to them, and {path} holds neither")
    return found


def _by_name(to: Mapping[str, int], known: Sequence[str]) -> list[int]:
    for name in to:
        if name not in known:
            raise _fault(f"must name classes of the data, got {name!r}{near(name, known)}")
    if missing := [name for name in known if name not in to]:
        raise _fault(f"must have a class of the teacher for each class of the data, and has none for {_few(missing)}")
    return [to[name] for name in known]


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
