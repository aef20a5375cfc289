"""Numbers as tables show them."""

from __future__ import annotations

from rolewise.statistics import Estimate


def with_spread(accuracy: Estimate) -> str:
    """Returns a mean with its standard deviation, in percent: ``97.3 ± 0.4``.

    Args:
        accuracy: an estimate in [0, 1]; without a standard deviation the mean stands alone.
    """
    spread = "" if accuracy.sd is None else f" ± {100 * accuracy.sd:.1f}"
    return f"{100 * accuracy.mean:.1f}{spread}"


def with_interval(difference: Estimate) -> str:
    """Returns a difference with its interval, in points: ``+1.2 (-0.3 to +2.7)``.

    Args:
        difference: an estimate of a difference of accuracies; without an interval the mean stands alone.
    """
    change = f"{100 * difference.mean:+.1f}"
    if difference.low is not None and difference.high is not None:
        change += f" ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    return change
