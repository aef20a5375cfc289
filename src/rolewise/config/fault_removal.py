"""Removal of a config's faults, so that the rest of it can be checked in the same go."""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import ValidationError

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.setting_messages import real_path, value_at

#: More rounds than levels of nesting in the schema.
_ROUNDS = 12


def without_faults(value: Any) -> tuple[ExperimentConfig | None, list[Steps]]:
    """Takes faulty settings out of a config, so that their defaults hold, and fills in missing ones.

    Returns:
        The config, or None where it could not be mended, and the paths at and below which it differs from
        the file.
    """
    value = copy.deepcopy(value)
    dropped: list[Steps] = []
    for _ in range(_ROUNDS):
        try:
            return ExperimentConfig.model_validate_json(json.dumps(value), strict=True), dropped
        except ValidationError as error:
            faulty = {real_path(item, value): item["type"] == "missing" for item in error.errors(include_url=False)}
            gone: list[Steps] = []
            for path, missing in faulty.items():
                if not any(path[: len(above)] == above for above in gone):
                    replaceable = path not in dropped
                    gone.append(_take_out(value, path, missing, replaceable, len(dropped) + len(gone)))
            dropped += gone
    return None, dropped


def _take_out(value: Any, path: Steps, missing: bool, replaceable: bool, number: int) -> Steps:
    while path:
        step, container = path[-1], value_at(value, path[:-1])
        if isinstance(container, dict) and isinstance(step, str):
            if missing:
                container[step] = _settings(number).get(step)
            else:
                container.pop(step, None)
            return path
        # A place in a list cannot go without moving the others: another value stands in, or the whole list goes.
        if isinstance(container, list) and isinstance(step, int) and replaceable and path[-2] in _places(number):
            container[step] = _places(number)[str(path[-2])]
            return path
        path, missing = path[:-1], False
    return path


def _settings(number: int) -> dict[str, Any]:
    """A substitute for a setting that must be given."""
    model = {"name": "missing"}
    name = f"missing{number}"
    return {
        "teacher": {"model": model},
        "students": [{"name": name, "model": model}],
        "model": model,
        "name": name,
        "start": 1.0,
        "low": -1e9,
        "high": 1e9,
    }


def _places(number: int) -> dict[str, Any]:
    """A substitute for one entry of a list whose other entries are worth checking."""
    name = f"missing{number}"
    return {
        "students": {"name": name, "model": {"name": name}},
        "methods": {"name": name},
        "student": "none",
        "teacher": "none",
    }
