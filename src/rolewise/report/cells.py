"""How numbers are written in tables."""

from __future__ import annotations

from rolewise.metric_info import MetricInfo
from rolewise.statistics import Estimate


def with_spread(metric: MetricInfo, score: Estimate) -> str:
    """Returns a mean with its standard deviation, as its metric is written."""
    spread = "" if score.sd is None else f" ± {metric.value(score.sd)}"
    return f"{metric.value(score.mean)}{spread}"


def with_interval(metric: MetricInfo, difference: Estimate) -> str:
    """Returns a difference with its interval, as its metric is written."""
    change = metric.change(difference.mean)
    if difference.low is not None and difference.high is not None:
        change += f" ({metric.change(difference.low)} to {metric.change(difference.high)})"
    return change
