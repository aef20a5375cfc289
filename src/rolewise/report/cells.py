"""Numbers as tables show them."""

from __future__ import annotations

from rolewise.metric_info import MetricInfo
from rolewise.statistics import ArmRow, Estimate


def with_spread(metric: MetricInfo, score: Estimate, seeds: int | None = None) -> str:
    """Returns a mean with its standard deviation, as its metric is written: ``97.3 ± 0.4``.

    Args:
        metric: the estimate's.
        score: an estimate; without a standard deviation the mean stands alone.
        seeds: of the whole table; the number is shown of an estimate that has fewer.
    """
    spread = "" if score.sd is None else f" ± {metric.value(score.sd)}"
    fewer = "" if seeds is None or score.count == seeds else f" (n = {score.count})"
    return f"{metric.value(score.mean)}{spread}{fewer}"


def change_of(row: ArmRow) -> str:
    """Returns an arm's difference to its control with its interval, or the reason for which there is none.

    Args:
        row: of `rolewise.statistics.compare`.
    """
    if row.difference is not None:
        return with_interval(row.metric, row.difference)
    return "control" if row.name == row.control else "no seed in common"


def with_interval(metric: MetricInfo, difference: Estimate) -> str:
    """Returns a difference with its interval, as its metric is written: ``+1.2 (-0.3 to +2.7)``.

    Args:
        metric: the estimate's.
        difference: an estimate of a difference; without an interval the mean stands alone.
    """
    change = metric.change(difference.mean)
    if difference.low is not None and difference.high is not None:
        change += f" ({metric.change(difference.low)} to {metric.change(difference.high)})"
    return change


def p_value(value: float | None) -> str:
    """Returns a p value with three digits; one below them as such, since no p value is 0.

    Args:
        value: in [0, 1]; None where there is none.
    """
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
