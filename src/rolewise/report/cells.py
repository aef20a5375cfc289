"""How numbers are written in tables."""

from __future__ import annotations

from rolewise.statistics import Estimate


def with_spread(accuracy: Estimate) -> str:
    """Returns a mean with its standard deviation, in percent."""
    spread = "" if accuracy.sd is None else f" ± {100 * accuracy.sd:.1f}"
    return f"{100 * accuracy.mean:.1f}{spread}"


def with_interval(difference: Estimate) -> str:
    """Returns a difference with its interval, in points."""
    change = f"{100 * difference.mean:+.1f}"
    if difference.low is not None and difference.high is not None:
        change += f" ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    return change
