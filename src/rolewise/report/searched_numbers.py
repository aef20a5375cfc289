"""The numbers that a search moved beside the policies, as a table of a run's page."""

from __future__ import annotations

from typing import Any

from rolewise.report.run_data import RunData


def searched_numbers(data: RunData) -> list[dict[str, str]]:
    """Returns a row for each number of each search: the search, the number's name or path, its values over training.

    Args:
        data: of the run.
    """
    rows = []
    for stage, segments in data.scalars.items():
        names = dict.fromkeys(name for _, values in segments for name in values)
        rows += [{"stage": stage, "name": name, "values": _over_training(segments, name)} for name in names]
    return rows


def _over_training(segments: list[tuple[float, dict[str, Any]]], name: str) -> str:
    """Returns the values with the part of training from which each holds; only where one differs from the last."""
    parts: list[str] = []
    last = None
    for start, values in segments:
        value = values.get(name)
        if value is not None and value != last:
            parts.append(f"{float(value):.4g} from {start:.0%}")
            last = value
    return ", ".join(parts)
