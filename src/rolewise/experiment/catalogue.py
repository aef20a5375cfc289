"""What is registered, with a line for each."""

from __future__ import annotations

import inspect

from rolewise.augment import OPS, PRESETS
from rolewise.data import READERS
from rolewise.distill import METHODS, method_settings
from rolewise.models import MODELS


def catalogue() -> dict[str, list[tuple[str, str]]]:
    """Returns for each kind of thing its names, each with its first line of documentation."""
    methods = []
    for name in METHODS:
        settings = ", ".join(f"{key}={value!r}" for key, value in method_settings(name).items())
        methods.append((name, f"{_first_line(METHODS[name].loss)} ({settings})"))
    return {
        "models": [(name, _first_line(MODELS[name])) for name in MODELS],
        "methods": methods,
        "data": [(name, _first_line(READERS[name])) for name in READERS],
        "augmentations": [(name, _first_line(PRESETS[name])) for name in PRESETS],
        "ops": [(op.name, f"{op.effect}; up to {op.range:g} {op.unit}") for op in OPS.values()],
    }


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0].replace("``", "`")
