"""The figures of a study; each returns a data address, and none reads a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rolewise.report.style import COLOURS, FAINT, GREY, INK, as_image, figure
from rolewise.statistics.effects import Contrast, Level
from rolewise.statistics.estimates import estimate
from rolewise.statistics.study_sentences import Unit


@dataclass(frozen=True)
class Square:
    """One square of a heat map.

    Args:
        mean: over seeds, of each seed's mean over the axes that are not shown; None where it is unknown.
        ends: of the 95% interval; None with one seed.
        note: the text that stands in place of a mean.
        failed: whether a row of it failed.
        cells: the number of cells that it is a mean over.
    """

    mean: float | None
    ends: tuple[float, float] | None = None
    note: str = ""
    failed: bool = False
    cells: int = 0


def square(rows: Sequence[Mapping[str, Any]], metric: str) -> Square:
    """Returns a square of the rows that belong to it; one failed row among them, and there is no mean."""
    if not rows:
        return Square(None, note="not in\nthe grid")
    if failed := sum(row["status"] == "failed" for row in rows):
        return Square(None, note=f"{failed} of {len(rows)}\nfailed", failed=True)
    if waiting := sum(row["status"] != "done" for row in rows):
        return Square(None, note=f"{waiting} of {len(rows)}\nto come")
    if any(row.get(metric) is None for row in rows):
        # Such as the agreement with its teacher of a network that nobody taught.
        return Square(None, note="not\nmeasured")
    seeds: dict[int, list[float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(float(row[metric]))
    found = estimate([math.fsum(values) / len(values) for values in seeds.values()])
    cells = len({row["cell"] for row in rows})
    ends = None if found.low is None or found.high is None else (found.low, found.high)
    return Square(found.mean, ends, cells=cells)


def heat_figure(
    rows: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[Level]],
    shown: Sequence[str],
    labels: Mapping[str, str],
    metric: str,
    unit: Unit,
) -> str:
    """Draws a metric over one or two axes, with a panel for each level of a third.

    Args:
        rows: of one part, student and arm.
        levels: of each axis.
        shown: the axes: down, across, and over panels; the last two may be left out.
        labels: a short name for each axis.
        metric: the column.
        unit: the metric's unit.
    """
    down, across, over = (*shown, None, None)[:3]
    panels: Sequence[Any] = levels[over] if over is not None else [None]
    columns: Sequence[Any] = levels[across] if across is not None else [None]
    assert down is not None
    grids = [
        [
            [square([row for row in rows if _at(row, ((over, p), (down, a), (across, b)))], metric) for b in columns]
            for a in levels[down]
        ]
        for p in panels
    ]
    means = [one.mean for grid in grids for line in grid for one in line if one.mean is not None]
    most = max((one.cells for grid in grids for line in grid for one in line), default=0)
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    high = high if high > low else low + 1e-9
    beside = min(len(panels), max(1, 6 // max(1, len(columns))), 3)
    deep = -(-len(panels) // beside)
    width = min(9.0, 1.7 + beside * (0.5 + 1.15 * len(columns)))
    with figure(width, deep * (0.9 + 0.62 * len(levels[down])), deep, beside) as (made, axes):
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        mesh = None
        for axis, panel, grid in zip(axes, panels, grids, strict=False):
            mesh = _panel(axis, grid, low, high, most, unit)
            axis.set_yticks(range(len(levels[down])), [_short(level) for level in levels[down]])
            axis.set_xticks(range(len(columns)), [_short(level) for level in columns] if across else [""])
            axis.set_ylabel(labels[down])
            if across is not None:
                axis.set_xlabel(labels[across])
            if over is not None:
                axis.set_title(f"{labels[over]}: {_short(panel)}")
        if mesh is not None:
            bar = made.colorbar(mesh, ax=axes, pad=0.02, label=unit.name + (", %" if unit.scale == 100 else ""))
            bar.outline.set_visible(False)
        return as_image(made)


def _panel(axis: Axes, grid: list[list[Square]], low: float, high: float, most: int, unit: Unit) -> Any:
    picture = np.array([[np.nan if one.mean is None else unit.scale * one.mean for one in line] for line in grid])
    mesh = axis.imshow(picture, aspect="auto", cmap="cividis", vmin=unit.scale * low, vmax=unit.scale * high)
    for y, line in enumerate(grid):
        for x, one in enumerate(line):
            if one.mean is None:
                hatch = "////" if one.failed else None
                axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc="white", ec=FAINT, hatch=hatch, lw=0))
                back = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if one.failed else None
                axis.text(x, y, one.note, ha="center", va="center", fontsize=7.5, color=GREY, bbox=back)
                continue
            colour = "white" if (one.mean - low) / (high - low) < 0.55 else INK
            text = (
                unit.value(one.mean)
                + ("*" if one.cells < most else "")
                + ("" if one.ends is None else f"\n{unit.value(one.ends[0])} to {unit.value(one.ends[1])}")
            )
            axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=colour, linespacing=1.25)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return mesh


def _at(row: Mapping[str, Any], where: Sequence[tuple[str | None, Any]]) -> bool:
    return all(axis is None or row[axis] == level for axis, level in where)


def _short(level: Any) -> str:
    text = f"{level:g}" if isinstance(level, float) else str(level)
    return text if len(text) <= 22 else text[:20] + "..."


def effects_figure(found: Sequence[Contrast], labels: Mapping[str, str], unit: Unit) -> str:
    """Draws every contrast with its interval: filled where it stands after the adjustment, hollow where it does not."""
    drawn = [one for one in found if one.difference is not None][::-1]
    with figure(9, 0.27 * len(drawn) + 0.9) as (made, axes):
        axis = axes[0]
        axis.axvline(0, color=GREY, lw=0.8)
        for place, one in enumerate(drawn):
            assert one.difference is not None
            colour = COLOURS[0] if one.other is None else COLOURS[1]
            if one.difference.low is not None and one.difference.high is not None:
                ends = [unit.scale * one.difference.low, unit.scale * one.difference.high]
                axis.plot(ends, [place, place], color=colour, lw=1.6, alpha=1 if one.supported else 0.45)
            face = colour if one.supported else "white"
            axis.plot(unit.scale * one.difference.mean, place, "o", ms=5.5, mfc=face, mec=colour)
        axis.set_yticks(range(len(drawn)), [contrast_name(one, labels) for one in drawn])
        axis.set_ylim(-0.7, len(drawn) - 0.3)
        axis.set_xlabel(f"difference in {unit.name}" + (", points" if unit.scale == 100 else ""))
        axis.grid(axis="x", color=FAINT, lw=0.6)
        axis.set_axisbelow(True)
        return as_image(made)


def contrast_name(one: Contrast, labels: Mapping[str, str]) -> str:
    """Returns the name of a contrast in figures."""
    name = f"{labels[one.axis]}: {_short(one.level)} against {_short(one.reference)}"
    if one.other is None:
        return name
    axis, level, reference = one.other
    return f"({name})  x  ({labels[axis]}: {_short(level)} against {_short(reference)})"
