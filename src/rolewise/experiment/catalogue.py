"""Everything that is registered, with a line for each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rolewise.augment import OPS, PRESETS
from rolewise.data import READERS, reader_settings
from rolewise.distill import COMBINATIONS, METHODS, method_settings
from rolewise.instruments.measure_call import measure_settings
from rolewise.instruments.measurements import MEASURES
from rolewise.models import MODELS
from rolewise.quant import QUANTISERS
from rolewise.tasks import METRICS, TASKS, metric_settings, task_settings
from rolewise.trackers import TRACKERS, tracker_settings


def catalogue() -> dict[str, list[tuple[str, str]]]:
    """Returns for each kind of thing its names, each with its first line of documentation."""
    return {
        "models": [(name, _first_line(MODELS[name])) for name in MODELS],
        "methods": [(name, _with_settings(METHODS[name].loss, method_settings(name))) for name in METHODS],
        "combinations": [(name, _first_line(COMBINATIONS[name])) for name in COMBINATIONS],
        "tasks": [(name, _with_settings(TASKS[name], task_settings(name))) for name in TASKS],
        "metrics": [(name, _with_settings(METRICS[name], metric_settings(name))) for name in METRICS],
        # Of both parts of a quantiser its file tells.
        "quantisers": [(name, _first_line(inspect.getmodule(QUANTISERS[name].activation))) for name in QUANTISERS],
        "measurements": [(name, _with_settings(MEASURES[name], measure_settings(MEASURES[name]))) for name in MEASURES],
        "data": [(name, _with_settings(READERS[name], reader_settings(name))) for name in READERS],
        "trackers": [(name, _with_settings(TRACKERS[name], tracker_settings(name))) for name in TRACKERS],
        "augmentations": [(name, _first_line(PRESETS[name])) for name in PRESETS],
        "ops": [(op.name, f"{op.effect}; up to {op.range:g} {op.unit}") for op in OPS.values()],
    }


def _with_settings(function: Any, settings: Mapping[str, object]) -> str:
    listed = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    return f"{_first_line(function).removesuffix('.')} ({listed})" if listed else _first_line(function)


def _first_line(function: Any) -> str:
    return (inspect.getdoc(inspect.unwrap(function)) or "").split("\n")[0].replace("``", "`")
