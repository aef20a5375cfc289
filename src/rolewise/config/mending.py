"""What is left of a config once its faults are taken out, so that the rest of it can be checked in the same go."""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import ValidationError

from rolewise.config.faults import Steps
from rolewise.config.messages import real_path, value_at
from rolewise.config.schema import ExperimentConfig

#: More rounds than levels of nesting in the schema.
_ROUNDS = 12


def mended(value: Any) -> tuple[ExperimentConfig | None, list[Steps]]:
    """Takes faulty settings out of a config, so that their defaults hold, and fills in missing ones.

    Returns:
        The config, or None where it could not be mended, and the paths at and below which it no longer says what
        the file says.
    """
    value = copy.deepcopy(value)
    dropped: list[Steps] = []
    for _ in range(_ROUNDS):
        try:
            return ExperimentConfig.model_validate_json(json.dumps(value), strict=True), dropped
        except ValidationError as error:
            for item in error.errors(include_url=False):
                dropped.append(_take_out(value, real_path(item, value), item["type"] == "missing", len(dropped)))
    return None, dropped


def _take_out(value: Any, path: Steps, missing: bool, number: int) -> Steps:
    if missing and isinstance(path[-1], str):
        container = value_at(value, path[:-1])
        if isinstance(container, dict):
            container[path[-1]] = _stand_in(path, number)
            return path
    # A place in a list cannot go without moving the others: the whole list goes.
    while path:
        container = value_at(value, path[:-1])
        if isinstance(container, dict) and isinstance(path[-1], str):
            container.pop(path[-1], None)
            return path
        path = path[:-1]
    return path


def _stand_in(path: Steps, number: int) -> Any:
    model = {"name": "missing"}
    return {
        "teacher": {"model": model},
        "students": [{"name": "missing", "model": model}],
        "model": model,
        "name": f"missing{number}",
        "low": -1e30,
        "high": 1e30,
    }.get(str(path[-1]))
