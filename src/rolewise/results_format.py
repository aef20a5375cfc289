"""The form of ``results.json``: version 2 has metrics by key; version 1, with accuracies alone, is still read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY, CLASS_METRICS, MetricInfo, info_of

RESULTS_VERSION = 2


def as_current(results: Any) -> dict[str, Any]:
    """Returns the content of a ``results.json`` in the form of version 2.

    Each teacher and arm has ``metrics``: from a metric's key to its value for each seed. ``metrics`` of the whole lists
    what they are, and ``primary`` is the key of the one that is compared.

    Args:
        results: the content of the file, of version 1 or 2; it is left as it is.

    Raises:
        InputError: it is of another version, or a field is missing; it is named.
    """
    if not isinstance(results, Mapping):
        raise InputError(f"results must be a mapping, got {type(results).__name__}; the file is damaged")
    version = results.get("version", 1)
    if version == RESULTS_VERSION:
        return dict(results)
    if version != 1:
        raise InputError(
            f"results must have version 1 or {RESULTS_VERSION}, got {version!r}; they are of another release"
        )
    return {
        **results,
        "version": RESULTS_VERSION,
        "task": "classification",
        "primary": ACCURACY.key,
        "metrics": [info.as_json() for info in CLASS_METRICS],
        **{part: [_entry(entry) for entry in results[part]] for part in ("teachers", "arms") if part in results},
    }


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a teacher or an arm of version 1 in the form of version 2."""
    old = {"accuracy": "test_accuracy", "loss": "test_loss"}
    metrics = {key: entry[name] for key, name in old.items() if name in entry}
    return {**{key: value for key, value in entry.items() if key not in old.values()}, "metrics": metrics}


def example_of(results: Any) -> str:
    """Returns the name of one example of a run's data: ``text``, which stands in the results, or ``image``.

    Args:
        results: the content of ``results.json``, of any version.
    """
    return str(results.get("example", "image")) if isinstance(results, Mapping) else "image"


def metrics_of(results: Mapping[str, Any]) -> list[MetricInfo]:
    """Returns the metrics of results of version 2, the one that is compared first.

    Raises:
        InputError: they are not described.
    """
    infos = [info_of(values) for values in results.get("metrics", ())]
    infos.sort(key=lambda info: info.key != results.get("primary"))
    if not infos or infos[0].key != results.get("primary"):
        raise InputError(
            f"results must describe their primary metric, got {results.get('primary')!r}; the file is damaged"
        )
    return infos


def values_of(entry: Mapping[str, Any], key: str) -> dict[str, float]:
    """Returns a metric of a teacher or an arm by seed; a number that could not be measured is left out.

    Args:
        entry: of results of version 2.
        key: of the metric.
    """
    return {str(seed): float(value) for seed, value in entry["metrics"][key].items() if value is not None}


def primary_values(entry: Mapping[str, Any], info: MetricInfo, seeds: Sequence[str]) -> dict[str, float]:
    """Returns the primary metric of a teacher or an arm by seed; a number that could not be measured is left out.

    Args:
        entry: of results of version 2.
        info: the metric.
        seeds: of the run.

    Raises:
        KeyError: a seed is missing, with a number or without.
    """
    held = entry["metrics"][info.key]
    return {seed: float(held[seed]) for seed in seeds if held[seed] is not None}


def unmeasured(results: Mapping[str, Any]) -> list[str]:
    """Returns a sentence that names the networks and seeds of which the primary metric has no number; none mostly.

    Args:
        results: of version 2.
    """
    info, found = metrics_of(results)[0], []
    for entry in (*results.get("teachers", ()), *results.get("arms", ())):
        held = entry["metrics"].get(info.key, {})
        lost = [str(seed) for seed, value in held.items() if value is None]
        if lost:
            name = f"{entry['student']} {entry['name']}" if "name" in entry else f"teacher {entry['augmentation']}"
            seeds = f"seed {lost[0]}" if len(lost) == 1 else f"seeds {', '.join(lost)}"
            found.append(f"{name} ({'every seed' if len(lost) == len(held) else seeds})")
    if not found:
        return []
    return [
        f"There is no {info.title} of {'; '.join(found)}: the test examples, or what was predicted for them, have "
        "nothing that it measures. Means and differences are of the other seeds; more test examples or another "
        "primary metric would give every seed a number."
    ]
