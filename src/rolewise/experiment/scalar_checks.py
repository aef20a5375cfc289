"""Checks of a config's searched numbers: each within what it can be where it is no search that sets it."""

from __future__ import annotations

from collections.abc import Iterable

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.distill.checks import BOUNDS

#: Those of mixing have checks of their own, in `rolewise.experiment.mix_checks`.
_WITHIN: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-12, 1000),
    "temperature": BOUNDS["temperature"],
    "label_weight": BOUNDS["not negative"],
}


def check_scalars(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every end of a searched number that the number cannot have."""
    for name, scalar in config.search.scalars.items():
        low, high = _WITHIN.get(name, (scalar.low, scalar.high))
        for end, value in (("low", scalar.low), ("high", scalar.high)):
            if not low <= value <= high:
                rule = f"at least {low:g}" if value < low else f"at most {high:,}"
                yield ("search", "scalars", name, end), f"must be {rule} for {name}, got {value:g}"
