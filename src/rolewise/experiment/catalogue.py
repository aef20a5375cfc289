"""Everything that is registered, with a line for each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from rolewise.augment import OPS, PRESETS
from rolewise.data import READERS, reader_settings
from rolewise.distill import METHODS, method_settings
from rolewise.models import MODELS


def catalogue() -> dict[str, list[tuple[str, str]]]:
    """Returns for each kind of thing its names, each with its first line of documentation."""
    return {
        "models": [(name, _first_line(MODELS[name])) for name in MODELS],
        "methods": [(name, _with_settings(METHODS[name].loss, method_settings(name))) for name in METHODS],
        "data": [(name, _with_settings(READERS[name], reader_settings(name))) for name in READERS],
        "augmentations": [(name, _first_line(PRESETS[name])) for name in PRESETS],
        "ops": [(op.name, f"{op.effect}; up to {op.range:g} {op.unit}") for op in OPS.values()],
    }


def _with_settings(function: object, settings: Mapping[str, object]) -> str:
    listed = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    return f"{_first_line(function).removesuffix('.')} ({listed})" if listed else _first_line(function)


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0].replace("``", "`")
