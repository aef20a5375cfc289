"""Figures of what was measured beside the metric: sizes and levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import COLOURS, GREY, INK, PAPER, colours
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics import Estimate

#: More levels than these are drawn as the range that they fill.
LEVELS = 16
#: What the axis of a histogram says beside the layer's own values.
_UNITS = {"value": "value", "tanh": "tanh(w) / max|tanh(w)|", "step": "in steps of each channel"}


@dataclass(frozen=True)
class Point:
    """One student under one arm, or a teacher.

    Args:
        arm: the arm that it was trained under; ``teacher`` for a teacher.
        label: the text beside it.
        network: students of the same one are joined by a line.
        low: whether it has few bits.
        bytes: of its weights.
        bit_operations: of one image.
        score: the metric over seeds.
    """

    arm: str
    label: str
    network: str
    low: bool
    bytes: int
    bit_operations: int
    score: Estimate


def size_figure(points: Sequence[Point], metric: MetricInfo = ACCURACY) -> Drawing:
    """Draws a metric against bytes and against bit operations, both on a log axis, with standard deviations.

    Args:
        points: students under their arms, and teachers.
        metric: of their scores.
    """
    arms = list(dict.fromkeys(point.arm for point in points))
    panels = []
    for key, name in (("bytes", "bytes of weights"), ("bit_operations", "bit operations an image")):
        with figure(PANEL, 3.6) as (made, (axis,)):
            for place, arm in enumerate(arms):
                _draw_arm(axis, [point for point in points if point.arm == arm], key, place, metric.scale)
            _label(axis, points, key, metric.scale)
            axis.set_xscale("log")
            axis.margins(x=0.18, y=0.18)
            values = [getattr(point, key) for point in points]
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(values) > 50 * min(values) else (1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel(f"{name}, on a log scale")
            axis.set_ylabel(f"test {metric.axis}", color=GREY)
            draw_grid(axis)
            for place, arm in enumerate(arms):
                axis.plot([], [], _marker(arm), color=_colour(arm, place), label=arm)
            made.legend(loc="outside lower center", ncols=2, fontsize=8)
            told = "; ".join(f"{one.label}, {one.arm}: {metric.shown(one.score.mean)}" for one in points)
            panels.append(as_svg(made, f"Test {metric.title} against {name}. {told}"))
    rows = [
        (one.label, one.arm, one.bytes, one.bit_operations, one.score.mean, one.score.sd, one.score.count)
        for one in points
    ]
    caption = (
        "Mean over seeds; bars: one standard deviation. Filled: few bits; hollow: floating point; star: the teacher. "
        "Lines join the same network at other bits."
    )
    header = ["network", "arm", "bytes", "bit_operations", "mean", "standard_deviation", "seeds"]
    return drawing(panels, caption, f"{metric.key}_against_size", header, rows)


def _draw_arm(axis: Axes, points: Sequence[Point], key: str, place: int, scale: float) -> None:
    # A few points to the side, so that bars of arms at the same size do not cover one another.
    shift = axis.transData + ScaledTranslation(5 * place / 72, 0, axis.figure.dpi_scale_trans)
    colour = _colour(points[0].arm, place)
    for network in dict.fromkeys(point.network for point in points):
        mine = sorted((point for point in points if point.network == network), key=lambda point: getattr(point, key))
        at = [getattr(point, key) for point in mine], [scale * point.score.mean for point in mine]
        axis.plot(*at, color=colour, lw=0.9, alpha=0.5, transform=shift)
    for point in points:
        x, y, sd = getattr(point, key), scale * point.score.mean, scale * (point.score.sd or 0.0)
        # Two ends as data too, which the axis limits follow; a shifted bar they do not.
        axis.plot([x, x], [y - sd, y + sd], alpha=0)
        axis.errorbar(
            x,
            y,
            yerr=sd if sd else None,
            fmt=_marker(point.arm),
            color=colour,
            mfc=colour if point.low or point.arm == "teacher" else PAPER,
            ms=9 if point.arm == "teacher" else 6,
            capsize=2.5,
            elinewidth=1.1,
            transform=shift,
        )


def _label(axis: Axes, points: Sequence[Point], key: str, scale: float) -> None:
    """Writes each student's label once, over its highest bar, or under its lowest where the teacher's is above."""
    students = [point for point in points if point.arm != "teacher"]
    teachers = [getattr(point, key) for point in points if point.arm == "teacher"]
    beside = len({point.arm for point in students}) - 1
    for text, x in dict.fromkeys((point.label, getattr(point, key)) for point in students):
        mine = [point.score for point in students if (point.label, getattr(point, key)) == (text, x)]
        under = any(abs(teacher / x - 1) < 0.05 for teacher in teachers)
        ends = [one.mean + (-1 if under else 1) * (one.sd or 0.0) for one in mine]
        axis.annotate(
            text,
            (x, scale * (min(ends) if under else max(ends))),
            (5 * beside / 2, -5 if under else 5),
            textcoords="offset points",
            ha="center",
            va="top" if under else "bottom",
            fontsize=8,
        )


def _marker(arm: str) -> str:
    return "*" if arm == "teacher" else "o"


def _colour(arm: str, place: int) -> str:
    return INK if arm == "teacher" else colours(place + 1)[place]


def histograms_figure(layers: Sequence[Mapping[str, Any]], caption: str, file: str) -> Drawing:
    """Draws weights and inputs of layers, a panel for each, with the levels that they are rounded to.

    Args:
        layers: of a ``histograms.json``.
        caption: the text below the panels.
        file: the name of the file of numbers, without its ending.
    """
    panels, rows = [], []
    for layer in layers:
        for part in ("weights", "inputs"):
            title, found = f"{layer['layer']}: {part}", layer[part]
            if found is None:
                continue
            with figure(PANEL, 1.9) as (made, (axis,)):
                _draw_histogram(axis, found, COLOURS[0] if part == "weights" else COLOURS[2])
                axis.set_title(f"{title}\n{_facts(found)}", fontsize=8.5)
                panels.append(as_svg(made, f"Histogram of {title}, {_facts(found)}"))
            edges = np.linspace(found["low"], found["high"], len(found["counts"]) + 1)
            rows += [
                (layer["layer"], part, float(edge), count) for edge, count in zip(edges, found["counts"], strict=False)
            ]
    return drawing(panels, caption, file, ["layer", "values", "from", "count"], rows)


def _facts(found: Mapping[str, Any]) -> str:
    bits, levels = found["bits"], len(found["levels"])
    cut = "" if found["cut"] is None else f", {found['cut']:.1%} cut"
    return f"{bits} bit{'s' if bits != 1 else ''}{cut}, {found['used']} of {levels} levels used"


def _draw_histogram(axis: Axes, found: Mapping[str, Any], colour: str) -> None:
    counts = np.array(found["counts"], float)
    edges = np.linspace(found["low"], found["high"], len(counts) + 1)
    share = 100 * counts / counts.sum()
    axis.stairs(share, edges, fill=True, color=colour, alpha=0.55)
    axis.set_yscale("log")
    # At least a decade and a half, so that there is a number on the axis.
    axis.set_ylim(min(max(1e-4, 0.5 * share[share > 0].min()), share.max() / 15), 2 * share.max())
    axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    levels = found["levels"]
    if len(levels) <= LEVELS:
        for level in levels:
            axis.axvline(level, color=INK, lw=0.8)
    else:
        axis.axvspan(levels[0], levels[-1], color=INK, alpha=0.08, lw=0)
    axis.set_xlabel(_UNITS[found["unit"]], fontsize=8)
    axis.tick_params(labelsize=8)
    axis.set_ylabel("values, %", fontsize=8)
