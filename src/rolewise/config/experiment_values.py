"""An experiment as plain values and as YAML, its digest, and its differences from another."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any

import yaml

from rolewise.config.faults import Steps, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.config.yaml_scalars import plain, quoted_value
from rolewise.files import digest_of

#: Settings that change how fast an experiment runs, or who else is told of it, and nothing that it leaves.
_SPEED = ("workers", "decoders", "checkpoint_seconds", "track")


def as_values(config: ExperimentConfig) -> dict[str, Any]:
    """Returns a config as plain values."""
    values: dict[str, Any] = config.model_dump(mode="json")
    if values["task"] == "classification":
        # Configs from before there were other tasks keep their digests, and runs their stages.
        del values["task"]
    for name, absent in (("metrics", []), ("primary", None), ("track", []), ("decoders", None)):
        # And those from before metrics could be chosen, trackers, and decoders.
        if values[name] == absent:
            del values[name]
    # For the same reason, settings that came later and are left out.
    if values["teacher"]["label_map"] is None:
        del values["teacher"]["label_map"]
    if values["teacher"]["init"] == "random":
        del values["teacher"]["init"]
    for name in ("cache", "strong"):
        if values["distill"][name] is None:
            del values["distill"][name]
    for section in (values["teacher"], *values["students"]):
        if section["model"]["interpolation"] is None:
            del section["model"]["interpolation"]
        if section["train"]["batches"] == "shuffled":
            del section["train"]["batches"]
    for student in values["students"]:
        if not student["phases"]:
            del student["phases"]
        if not student["peers"]:
            del student["peers"]
        if student["data_free"] is None:
            del student["data_free"]
        if student["teachers"] == ["teacher"]:
            del student["teachers"]
    return values


def dump(config: ExperimentConfig) -> str:
    """Returns a config as YAML with every default written out; reading it gives an equal config."""
    # Setting by setting, since most of them are the same in all cells of a study.
    return "".join(_dump_section(key, value) for key, value in as_values(config).items())


def _dump_section(key: str, value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return _dump_setting((key,), json.dumps(value))
    title = f"{key}:\n"
    return title + "".join(
        _dump_setting((key, name), json.dumps(part)).removeprefix(title) for name, part in value.items()
    )


@functools.lru_cache(maxsize=1024)
def _dump_setting(steps: tuple[str, ...], value: str) -> str:
    *sections, name = steps
    values = {name: json.loads(value)}
    return dump_values({sections[0]: values} if sections else values)


def dump_values(values: Any) -> str:
    """Returns plain values as YAML that this package reads back as the same values."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes text that this package's reading would take for something else, such as ``1e-3``; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if isinstance(plain(value), str) else '"')


_Dumper.add_representer(str, _text)


def experiment_digest(config: ExperimentConfig) -> str:
    """Returns a SHA-256 over everything that an experiment's results depend on."""
    values = {key: value for key, value in as_values(config).items() if key not in _SPEED}
    return digest_of(values)


def differences(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns the differences of two configs, a line for each: ``path: old -> new``."""
    return value_differences(as_values(old), as_values(new))


def value_differences(old: Any, new: Any) -> list[str]:
    """Returns the differences of two mappings of plain values, as `differences` does."""
    before, after = dict(_leaves(old, ())), dict(_leaves(new, ()))
    lines = []
    for path in sorted({*before, *after}, key=dotted):
        sides = [(path in side, side.get(path)) for side in (before, after)]
        if path[0] not in _SPEED and sides[0] != sides[1]:
            a, b = (quoted_value(value) if there else "(not there)" for there, value in sides)
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
