"""Figures of what was measured beside the metric: sizes, levels, gradients; each returns a data address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.style import COLOURS, FAINT, GREY, INK, as_image, colours, figure
from rolewise.statistics import Estimate

#: More levels than these are drawn as the range that they fill.
LEVELS = 16
#: What the axis of a histogram says beside the layer's own values.
_UNITS = {"value": "", "tanh": "tanh(w) / max|tanh(w)|", "step": "in steps of each channel"}


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


def size_figure(points: list[Point], metric: MetricInfo = ACCURACY) -> str:
    """Draws a metric against bytes and against bit operations, both on a log axis, with standard deviations."""
    arms = list(dict.fromkeys(point.arm for point in points))
    with figure(9, 3.5, 1, 2, sharey=True) as (made, axes):
        for axis, key, name in zip(
            axes, ("bytes", "bit_operations"), ("bytes of weights", "bit operations an image"), strict=True
        ):
            for place, arm in enumerate(arms):
                _draw_arm(axis, [point for point in points if point.arm == arm], key, place, metric.scale)
            _label(axis, points, key, metric.scale)
            axis.set_xscale("log")
            axis.margins(x=0.16, y=0.16)
            values = [getattr(point, key) for point in points]
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(values) > 50 * min(values) else (1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel(name)
            axis.grid(color=FAINT, lw=0.6)
            axis.set_axisbelow(True)
        axes[0].set_ylabel(f"test {metric.axis}", color=GREY)
        marks = [
            Line2D([], [], marker=_marker(arm), color=_colour(arm, place), ls="") for place, arm in enumerate(arms)
        ]
        made.legend(marks, arms, loc="outside lower center", ncols=len(arms), fontsize=8)
        return as_image(made)


def _draw_arm(axis: Axes, points: list[Point], key: str, place: int, scale: float) -> None:
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
            mfc=colour if point.low or point.arm == "teacher" else "white",
            ms=9 if point.arm == "teacher" else 6,
            capsize=2.5,
            elinewidth=1.1,
            transform=shift,
        )


def _label(axis: Axes, points: list[Point], key: str, scale: float) -> None:
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


def histograms_figure(layers: list[dict[str, Any]]) -> str:
    """Draws weights and inputs of layers, a row for each, with the levels that they are rounded to."""
    with figure(9, 1.55 * len(layers) + 0.1, len(layers), 2) as (made, axes):
        for number, layer in enumerate(layers):
            for axis, part in zip(axes[2 * number : 2 * number + 2], ("weights", "inputs"), strict=True):
                title = f"{layer['layer']}: {part}"
                found = layer[part]
                if found is None:
                    axis.set_title(f"{title}, not at few bits", color=GREY)
                    axis.axis("off")
                    continue
                _draw_histogram(axis, found, COLOURS[0] if part == "weights" else COLOURS[2])
                axis.set_title(f"{title}, {_facts(found)}", fontsize=8.5)
        return as_image(made)


def _facts(found: dict[str, Any]) -> str:
    bits, levels = found["bits"], len(found["levels"])
    cut = "" if found["cut"] is None else f", {found['cut']:.1%} cut"
    return f"{bits} bit{'s' if bits != 1 else ''}{cut}, {found['used']} of {levels} levels used"


def _draw_histogram(axis: Axes, found: dict[str, Any], colour: str) -> None:
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
    axis.set_xlabel(_UNITS[found["unit"]], fontsize=7.5)
    axis.tick_params(labelsize=7.5)
    axis.set_ylabel("%", fontsize=7.5)


def gradients_figure(records: dict[str, list[dict[str, Any]]]) -> str:
    """Draws the norms of the labels' and the methods' gradients over training, a row for each student.

    Args:
        records: student -> the epochs' records of one training.
    """
    bounded = any("left" in entry["gradients"] for record in records.values() for entry in _measured(record))
    with figure(9, 2.5 * len(records) + 0.2, len(records), 1 + bounded) as (made, axes):
        for number, (student, record) in enumerate(records.items()):
            entries = _measured(record)
            own = axes[number * (1 + bounded) : (number + 1) * (1 + bounded)]
            _draw_norms(own[0], entries)
            own[0].set_title(f"{student}: norm of the gradient, each term after its weight")
            for axis in own[1:]:
                _draw_line(axis, entries, [entry["gradients"].get("left") for entry in entries], color=INK)
                axis.set_ylim(0, 1.05)
                axis.set_title(f"{student}: share that the limit leaves")
                axis.set_visible("left" in entries[0]["gradients"])
            for axis in own:
                axis.set_xlim(-2, 102)
                axis.set_xlabel("training done, %")
                axis.grid(color=FAINT, lw=0.6)
        return as_image(made)


def _measured(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in record if "gradients" in entry]


def _draw_norms(axis: Axes, entries: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for entry in entries for name in entry["gradients"]["terms"]))
    names.sort(key=lambda name: name != "labels")
    if len(names) > 2:
        values = [entry["gradients"].get("distillation") for entry in entries]
        _draw_line(axis, entries, values, color=GREY, label="all methods", alpha=0.35, lw=4, marker="")
    for place, name in enumerate(names):
        values = [entry["gradients"]["terms"].get(name) for entry in entries]
        colour = INK if name == "labels" else colours(max(1, place))[max(1, place) - 1]
        _draw_line(axis, entries, values, color=colour, label=name)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _draw_line(axis: Axes, entries: list[dict[str, Any]], values: list[float | None], **settings: Any) -> None:
    """Draws values at the beginnings of their epochs; what was not finite, or is zero on a log axis, leaves a gap."""
    each = entries[0]["progress"] / entries[0]["epoch"]
    x = [100 * (entry["progress"] - each) for entry in entries]
    numbers = [np.nan if value is None else value for value in values]
    axis.plot(x, numbers, **{"marker": ".", "ms": 4, "lw": 1.1, **settings})
