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
from rolewise.method_presets import epoch_words, method_presets, training_presets
from rolewise.models import MODELS
from rolewise.quant import QUANTISERS
from rolewise.tasks import METRICS, TASKS, metric_settings, task_settings
from rolewise.trackers import TRACKERS, tracker_settings
from rolewise.words import sentence_start

#: Augmentations of an arm that the experiment itself makes, beside the presets.
SEARCHED = {
    "own": "The schedule that a population-based search found for the role itself.",
    "own_shuffled": "The same, its segments in another order.",
    "teacher": "The teacher's own schedule, on the student.",
    "random_search": "The best of constant random policies, each trained to the end.",
    "grid_search": "The best cell of RandAugment's grid of operations and strengths.",
    "screen": "The random policy under which the teacher's outputs deviate least; no student is trained.",
    "screened_search": "`own`, begun with the policies that the screen puts first.",
}
#: Words of the field for a kind that is listed under another one.
ALSO = {"networks": "models", "ops": "operations", "datasets": "data", "losses": "methods"}


def catalogue() -> dict[str, list[tuple[str, str]]]:
    """Returns for each kind of thing its names, each with its first line of documentation."""
    return {
        "models": [(name, _first_line(MODELS[name])) for name in MODELS],
        "methods": [(name, _with_settings(METHODS[name].loss, method_settings(name))) for name in METHODS],
        "combinations": [(name, _first_line(COMBINATIONS[name])) for name in COMBINATIONS],
        "presets": [
            (f"{method}: {name}", f"{one.summary}; {epoch_words(one.epoch)}; {one.code}")
            for method, presets in method_presets().items()
            for name, one in presets.items()
        ],
        "trainings": [(name, f"{one.title}; {one.code}") for name, one in training_presets().items()],
        "tasks": [(name, _with_settings(TASKS[name], task_settings(name))) for name in TASKS],
        "metrics": [(name, _with_settings(METRICS[name], metric_settings(name))) for name in METRICS],
        # Of both parts of a quantiser its file tells.
        "quantisers": [(name, _first_line(inspect.getmodule(QUANTISERS[name].activation))) for name in QUANTISERS],
        "measurements": [(name, _with_settings(MEASURES[name], measure_settings(MEASURES[name]))) for name in MEASURES],
        "data": [(name, _with_settings(READERS[name], reader_settings(name))) for name in READERS],
        "trackers": [(name, _with_settings(TRACKERS[name], tracker_settings(name))) for name in TRACKERS],
        "augmentations": [(name, _first_line(PRESETS[name])) for name in PRESETS],
        "searched": list(SEARCHED.items()),
        "operations": [(op.name, f"{op.effect}; up to {op.range:g} {op.unit}") for op in OPS.values()],
    }


def _with_settings(function: Any, settings: Mapping[str, object]) -> str:
    listed = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    return f"{_first_line(function).removesuffix('.')} ({listed})" if listed else _first_line(function)


def _first_line(function: Any) -> str:
    line = (inspect.getdoc(inspect.unwrap(function)) or "").split("\n")[0].replace("``", "`").removeprefix("Returns ")
    return sentence_start(line)
