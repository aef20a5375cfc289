"""Calls of a measurement: the arguments that it may take beside the network and the test set."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError, near

#: Images and labels as (inputs [B, C, H, W], labels int64 [B]); may be gone through again and again.
Batches = Iterable[tuple[Tensor, Tensor]]
#: Takes a network in eval mode, which returns logits [B, K] or an object that has ``logits``, and the test set as the
#: network wants it; then, as keywords, its settings and what it asks for of `OFFERED`. Gradients are on: who needs none
#: says ``torch.no_grad``. Returns finite numbers by the name of their column, None where there is nothing to count.
Measure = Callable[..., Mapping[str, float | None]]

#: What is given to a measurement that has a parameter of that name.
OFFERED: dict[str, str] = {
    "validation": "validation images as the network wants them, as batches; nobody trained on them unless the "
    "experiment retrains on validation",
    "teacher": "the network that taught this one, in eval mode",
    "teacher_batches": "the test set as the teacher wants it, in the same order",
    "pixels": "the test set before normalisation, uint8 [B, C, H, W], in the same order",
    "spec": "what the network is fed (`rolewise.inputs.InputSpec`): pixels become its inputs by it",
    "generator": "a `torch.Generator` on the CPU, the same for all networks of one seed",
}


#: The largest number that a setting of a measurement may be: of images, directions or bins, what is more fills memory.
LARGEST = 10**6


def measure_settings(measure: Measure) -> dict[str, Any]:
    """Returns the settings of a measurement with their defaults: parameters that have one and that nobody offers."""
    return {
        name: parameter.default
        for name, parameter in _parameters(measure).items()
        if name not in OFFERED and parameter.default is not parameter.empty
    }


def setting_fault(measure: Measure, name: str, value: Any) -> str:
    """Returns the fault of a setting of a measurement; empty where there is none.

    A value must be of its default's kind: a positive number, a list of positive numbers, or a list of names.
    """
    known = measure_settings(measure)
    if name not in known:
        return f"no such setting of this measurement{near(name, known)}"
    default = known[name]
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not value:
            return f"must be a list of at least one, got {value!r}"
        wrong = [one for one in value if not _alike(default[0], one)]
        return f"must hold {_rule(default[0], wrong[0])}, got {wrong[0]!r}" if wrong else ""
    return "" if _alike(default, value) else f"must be {_rule(default, value)}, got {value!r}"


def _alike(default: Any, value: Any) -> bool:
    if isinstance(default, str):
        return isinstance(value, str)
    whole = isinstance(default, int) and not isinstance(default, bool)
    right = isinstance(value, int) if whole else isinstance(value, (int, float))
    return right and not isinstance(value, bool) and 0 < value <= LARGEST


def _rule(default: Any, value: Any) -> str:
    if isinstance(default, str):
        return "text"
    kind = "a positive whole number" if isinstance(default, int) else "a positive number"
    return f"{kind} of at most {LARGEST:,}" if isinstance(value, (int, float)) and LARGEST < value < math.inf else kind


def call_measure(
    measure: Measure,
    model: nn.Module,
    batches: Batches,
    offered: Mapping[str, Callable[[], Any]],
    settings: Mapping[str, Any] | None = None,
) -> dict[str, float | None]:
    """Returns the columns of a measurement for a network.

    A measurement that needs what is not there (a parameter without default, such as the teacher of a network that
    nobody taught) is not made: there are no columns.

    Args:
        measure: a function of (model, batches) and of keywords.
        model: the network; it is put in eval mode.
        batches: the test set as the network wants it.
        offered: makers of the arguments that a measurement may take, by name; see `OFFERED`.
        settings: of the measurement.

    Raises:
        InputError: it takes an argument that is not offered, or has no such setting.
    """
    given: dict[str, Any] = {}
    parameters = _parameters(measure)
    for name, value in (settings or {}).items():
        if name not in parameters or name in OFFERED:
            raise InputError(f"no such setting of the measurement: {name!r}{near(name, measure_settings(measure))}")
        given[name] = tuple(value) if isinstance(value, list) else value
    for name, parameter in parameters.items():
        if name in OFFERED:
            if name in offered:
                given[name] = offered[name]()
            elif parameter.default is parameter.empty:
                return {}
        elif parameter.default is parameter.empty and name not in given:
            raise InputError(f"a measurement must take arguments that are offered, got {name!r}{near(name, OFFERED)}")
    return {
        column: None if value is None else float(value) for column, value in measure(model, batches, **given).items()
    }


def _parameters(measure: Measure) -> dict[str, inspect.Parameter]:
    """Returns the parameters behind the network and the test set; those of ``*args`` and ``**kwargs`` are nobody's."""
    try:
        known = list(inspect.signature(measure).parameters.values())
    except (TypeError, ValueError):
        # Some callables of C have no signature: they get the network and the test set.
        return {}
    named = [one for one in known if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    positional = [one for one in named if one.kind is not one.KEYWORD_ONLY]
    return {one.name: one for one in named if one not in positional[:2] and one.kind is not one.POSITIONAL_ONLY}
