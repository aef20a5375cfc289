"""The figure of a search: the population over time, and who copied whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import FAINT, GREY, INK
from rolewise.report.style import FULL, figure
from rolewise.report.svg import as_svg

#: Steps of the scale of colours: as many as somebody tells apart, and no more paths in the page.
SHADES = 24


def lineage_figure(lineage: Mapping[str, Any], title: str, metric: MetricInfo = ACCURACY) -> Drawing:
    """Draws a population over time: a dot for each member and interval, coloured by score; arrows from donors.

    Args:
        lineage: content of a ``lineage.json``.
        title: the title of the panel.
        metric: of the scores.
    """
    history, events = lineage["history"], lineage["events"]
    scores = np.array([[np.nan if score is None else score for score in line] for line in history], float)
    intervals, members = scores.shape
    # Scores are the higher the better: of an error they are the negative.
    values = metric.scale * metric.goodness(1) * scores
    best_path = _path(events, lineage["best"], intervals)
    with figure(FULL, 0.27 * members + 1.1) as (made, (axis,)):
        for member in range(members):
            axis.axhline(member, color=FAINT, lw=0.8, zorder=0)
        axis.step(np.arange(intervals + 1), [*best_path, best_path[-1]], where="post", color=INK, lw=2.6, zorder=1)
        mesh = axis.scatter(
            np.repeat(np.arange(intervals) + 0.5, members),
            np.tile(np.arange(members), intervals),
            c=values.reshape(-1),
            cmap=matplotlib.colormaps["viridis" if metric.higher_is_better else "viridis_r"].resampled(SHADES),
            s=62,
            zorder=3,
            # The darkest of the scale is told from a dark page by its edge, the lightest from a light one.
            edgecolors=GREY,
            linewidths=0.9,
        )
        for event in (event for event in events if event["donor"] is not None):
            axis.annotate(
                "",
                xy=(event["interval"] + 0.14, event["target"]),
                xytext=(event["interval"] - 0.14, event["donor"]),
                arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1, "shrinkA": 0, "shrinkB": 0},
                zorder=2,
            )
        axis.set_xlim(0, intervals)
        axis.set_ylim(members - 0.4, -0.6)
        axis.set_yticks(range(members), [f"member {member}" for member in range(members)])
        axis.set_xticks(range(intervals + 1), [f"{100 * tick / intervals:.0f}" for tick in range(intervals + 1)])
        axis.set_xlabel("training done, %")
        axis.set_title(title)
        bar = made.colorbar(mesh, ax=axis, label=f"validation {metric.axis}", pad=0.01, aspect=14)
        bar.outline.set_visible(False)
        copies = sum(event["donor"] is not None for event in events)
        label = f"{title}: {members} members over {intervals} intervals, {copies} copies; the best was member "
        panel = as_svg(made, f"{label}{lineage['best']}, {_last(values, lineage['best'])}")
    rows = [
        (100 * number / intervals, member, _plain(values[number, member]), best_path[number] == member)
        for number in range(intervals)
        for member in range(members)
    ]
    header = ["from_percent_of_training", "member", f"validation_{metric.key}", "ancestor_of_the_best"]
    caption = "A dot for each member in each interval, lighter where it scored better; arrows: who copied whom; the "
    caption += "line: the best member's ancestry."
    return drawing([panel], caption, f"search_{title.split(',')[0]}", header, rows, full=True)


def _path(events: Sequence[Mapping[str, Any]], member: int, intervals: int) -> list[int]:
    path = [member] * intervals
    for event in sorted(events, key=lambda event: -event["interval"]):
        if event["donor"] is not None and event["target"] == member:
            member = event["donor"]
            path[: event["interval"]] = [member] * event["interval"]
    return path


def _last(values: np.ndarray, member: int) -> str:
    value = _plain(values[-1, member])
    return "not scored" if value is None else f"{value:.4g} at the end"


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
