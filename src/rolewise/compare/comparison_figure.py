"""The figure of a comparison: every method's difference to plain kd with its interval."""

from __future__ import annotations

from rolewise.compare.compared_methods import CONTROL
from rolewise.compare.comparison_result import LABELS, ComparedRow, Comparison
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import COLOURS, GREY, PAPER
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg


def comparison_figure(comparison: Comparison) -> Drawing | None:
    """Draws the differences to plain kd, the highest first: filled where it is beyond the noise of all, else hollow.

    Args:
        comparison: the comparison.

    Returns:
        The figure; None where no difference is known.
    """
    metric = comparison.metric
    known = [row for row in comparison.rows if row.difference is not None]
    if not known:
        return None
    drawn = sorted(known, key=_mean)
    # As wide as a small screen: a figure that scrolls would show the names there, and no interval.
    with figure(PANEL, 0.32 * len(drawn) + 0.9) as (made, (axis,)):
        axis.axvline(0, color=GREY, lw=1)
        for place, row in enumerate(drawn):
            assert row.difference is not None
            colour = COLOURS[1] if row.name == LABELS else COLOURS[0]
            if row.difference.low is not None and row.difference.high is not None:
                ends = [metric.scale * row.difference.low, metric.scale * row.difference.high]
                axis.plot(ends, [place, place], color=colour, lw=1.8, alpha=1 if row.is_beyond else 0.55)
            face = colour if row.is_beyond else PAPER
            axis.plot(metric.scale * row.difference.mean, place, "o", ms=6, mfc=face, mec=colour, mew=1.4)
        axis.set_yticks(range(len(drawn)), [_name(row) for row in drawn])
        axis.set_ylim(-0.7, len(drawn) - 0.3)
        axis.set_xlabel(
            f"difference to {CONTROL} in {metric.title}" + (f",{metric.change_unit}" if metric.unit else "")
        )
        draw_grid(axis, "x")
        told = "; ".join(f"{_name(row)} {metric.change(_mean(row))}" for row in drawn[::-1])
        panel = as_svg(made, f"Differences to {CONTROL} in {metric.title} with their 95% intervals: {told}")
    caption = (
        f"Each method against plain {CONTROL}, paired by seed; bars: 95% intervals, each for one comparison. Filled: "
        "Holm's p among all of them is at most 0.05. Amber: the same student on labels alone."
    )
    rows = [
        (row.name, one.mean, one.low, one.high, row.p) for row in drawn[::-1] if (one := row.difference) is not None
    ]
    return drawing([panel], caption, "differences", ["method", "difference", "low", "high", "p_holm"], rows)


def _mean(row: ComparedRow) -> float:
    assert row.difference is not None
    return row.difference.mean


def _name(row: ComparedRow) -> str:
    return "labels alone" if row.name == LABELS else row.name
