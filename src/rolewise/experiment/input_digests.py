"""Digests of all inputs of an experiment: images, labels, schedules, weights, the user's own modules."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolewise.config.schema import AugmentationSpec, DataSection, ExperimentConfig
from rolewise.data import files_state, fingerprint
from rolewise.data.held_images import would_fit
from rolewise.errors import InputError
from rolewise.experiment.arms import specs
from rolewise.experiment.own_code import code_of_results
from rolewise.experiment.seed_data import sources
from rolewise.experiment.weight_sources import weight_digest, weight_settings
from rolewise.files import read_json, sha256
from rolewise.models.zoo import in_zoo, zoo_package
from rolewise.own_sources import own_sources
from rolewise.seals import is_whole


def inputs_of(config: ExperimentConfig) -> dict[str, str]:
    """Returns the SHA-256 of everything that an experiment reads, by what it is.

    Args:
        config: the experiment.

    Raises:
        InputError: something cannot be read; it is named.
    """
    found = dict(data_inputs(config))
    for setting in weight_settings(config):
        found[f"weights {setting.file}"] = weight_digest(setting)
    mapped = config.teacher.label_map
    if mapped is not None and isinstance(mapped.to, str):
        found[f"label map {mapped.to}"] = sha256(Path(mapped.to), "label map")
    for spec in specs(config).values():
        if path := schedule_path(spec):
            found[f"schedule {path}"] = sha256(path, "schedule")
    return found | module_inputs(*(code.path for code in code_of_results(config)))


def data_inputs(config: ExperimentConfig) -> Mapping[str, str]:
    """Returns the digests of an experiment's images and labels; read once by a process.

    Raises:
        InputError: they cannot be read.
    """
    known = _DATA.get(key := _reader(config.data))
    if known is None:
        known = _DATA[key] = _data(config)
    return known


def class_names_of(config: ExperimentConfig) -> list[str]:
    """Returns the names of an experiment's classes, labels or numbers, in the order of the networks' outputs.

    Raises:
        InputError: the data cannot be read.
    """
    data_inputs(config)
    return _NAMES[_reader(config.data)]


def _reader(section: DataSection) -> str:
    # How they are divided changes nothing about the images.
    reader = section.model_dump(include={"name", "root", "download", "arguments", "memory_budget_mb"}, mode="json")
    return json.dumps(reader, sort_keys=True)


_DATA: dict[str, Mapping[str, str]] = {}
#: Names of the classes of each data set that was read.
_NAMES: dict[str, list[str]] = {}
#: Digests of streamed pixels by the state of their files, as records keep them: large sets are read whole once.
_STREAMED: dict[str, str] = {}


def remember(record: Path) -> None:
    """Takes from a run's or a study's record, where there is one, which streamed files it has digested already."""
    with contextlib.suppress(InputError):  # whoever needs the record says what is wrong with it
        if record.exists() and is_whole(value := read_json(record, "the record")):
            _STREAMED.update(value.get("streamed", {}))


def streamed(config: ExperimentConfig) -> dict[str, str]:
    """Returns the digests of an experiment's streamed pixels by the state of their files, for its record."""
    marks = set(data_inputs(config).values())
    return {state: mark for state, mark in _STREAMED.items() if mark in marks}


def _data(config: ExperimentConfig) -> dict[str, str]:
    train, test = sources(config)
    _NAMES[_reader(config.data)] = list(train.classes)
    title = _title(config.data)
    found: dict[str, str] = {}
    for part, source in (("training", train), ("test", test)):
        if source is not None:
            # Of a set that is read for the images that are used, the digest is that of the set in memory.
            whole = config.data.limit is not None and would_fit(source, config.data.memory_budget_mb)
            marks = fingerprint(source, _STREAMED, by_pixels=whole)
            if not whole and (state := files_state(source)) is not None:
                _STREAMED[state] = marks["pixels"]
            found |= {f"{title}, {what} of the {part} images": mark for what, mark in marks.items()}
    return found


def _title(section: DataSection) -> str:
    more = {"root": section.root} if section.root is not None else {}
    settings = {**more, **section.arguments}
    return f"data {section.name}" + (f" {json.dumps(settings, sort_keys=True)}" if settings else "")


def module_inputs(*names: str) -> dict[str, str]:
    """Returns the digests of the user's own modules that paths such as ``package.module:callable`` name.

    Raises:
        InputError: there is no such module.
    """
    found: dict[str, str] = {}
    for name in names:
        if in_zoo(name):
            package, version = zoo_package(name)
            found[f"package {package}"] = version
        elif ":" in name:
            found |= {f"module {module}": mark for module, mark in _sources(name).items()}
    return found


# Read once, as Python loads a module once: what is edited later is not what this process runs.
_sources = functools.cache(own_sources)


def schedule_path(spec: AugmentationSpec) -> Path | None:
    """Returns the schedule file that an augmentation names; None where it is a preset."""
    return Path(spec) if isinstance(spec, str) and spec.endswith(".json") else None


def changed(known: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Returns the names of what has another digest now, is new, or is read no more."""
    return sorted(name for name in {*known, *now} if known.get(name) != now.get(name))


def check_inputs(root: Path, known: Mapping[str, Any], now: Mapping[str, str], ways: str) -> None:
    """Makes sure that a folder's results are made from what there is now.

    Args:
        root: the folder.
        known: digests of what it was made from.
        now: those of what there is.
        ways: the remedies.

    Raises:
        InputError: something has another content; it is named.
    """
    lines = [f"{name}: {_short(known.get(name))} then, {_short(now.get(name))} now" for name in changed(known, now)]
    if lines:
        differing = "\n  ".join(lines)
        raise InputError(f"{root} was made from other inputs; their SHA-256 differs in\n  {differing}\n{ways}")


def _short(mark: object) -> str:
    return "nothing" if mark is None else str(mark)[:12]
