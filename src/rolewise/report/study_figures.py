"""The figures of a study's cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.report.drawing import Drawing, drawing
from rolewise.report.heat_map import Square, heat_map
from rolewise.report.palette import COLOURS, GREY
from rolewise.report.style import BEYOND, FULL, PANEL, cut_at_ends, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics.effects import Level
from rolewise.statistics.estimates import estimate
from rolewise.statistics.study_sentences import Unit

#: Letters of a level's name beside others, and alone on its line.
_COLUMN, _LINE = 22, 60


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


def cells_figure(
    rows: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[Level]],
    shown: Sequence[str],
    labels: Mapping[str, str],
    metric: str,
    unit: Unit,
    caption: str,
) -> Drawing:
    """Draws a metric over up to three axes: a heat map over two of them, with a panel for each level of a third.

    Axes with one level are left out; over one axis alone there are a mean and an interval for each level.

    Args:
        rows: of one part, student and arm.
        levels: of each axis.
        shown: the axes: down, across, and over panels; the last two may be left out.
        labels: a short name for each axis.
        metric: the column.
        unit: the metric's unit.
        caption: the text below.
    """
    varied = [axis for axis in shown if len(levels[axis]) > 1] or list(shown[:1])
    down, across, over = (*varied, None, None)[:3]
    assert down is not None
    panels: Sequence[Any] = levels[over] if over is not None else [None]
    columns: Sequence[Any] = levels[across] if across is not None else [None]
    at: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        at.setdefault(tuple(None if axis is None else row[axis] for axis in (over, down, across)), []).append(row)
    grids = [[[square(at.get((p, a, b), []), metric) for b in columns] for a in levels[down]] for p in panels]
    squares = [one for grid in grids for line in grid for one in line]
    means = [one.mean for one in squares if one.mean is not None]
    scale = (min(means), max(means)) if means else (0.0, 1.0)
    most = max((one.cells for one in squares), default=0)
    drawn = []
    for panel, cells in zip(panels, grids, strict=True):
        title = f"{labels[over]}: {short_level(panel)}" if over is not None else ""
        if across is None:
            drawn.append(_levels_panel([line[0] for line in cells], levels[down], labels[down], unit))
            continue
        names = [short_level(level) for level in levels[down]], [short_level(level) for level in columns]
        drawn.append(heat_map(cells, names, (labels[down], labels[across]), title, scale, most, unit))
    full = len(columns) > 4 or (across is None and _is_wide(levels[down]))
    numbers = [
        (panel, a, b, one.mean, *(one.ends or (None, None)), one.note.replace("\n", " "))
        for panel, cells in zip(panels, grids, strict=True)
        for a, line in zip(levels[down], cells, strict=True)
        for b, one in zip(columns, line, strict=True)
    ]
    header = [labels[axis] if axis is not None else "" for axis in (over, down, across)]
    file = "_".join(["cells", metric, *(labels[axis] for axis in varied)])
    return drawing(drawn, caption, file, [*header, "mean", "low", "high", "note"], numbers, full=full)


def _levels_panel(squares: Sequence[Square], levels: Sequence[Level], label: str, unit: Unit) -> str:
    """Draws a mean with its interval for each level of one axis."""
    names = [short_level(level, _LINE) for level in levels]
    with figure(FULL if _is_wide(levels) else PANEL, 0.36 * len(levels) + 0.95) as (made, (axis,)):
        for place, one in enumerate(squares):
            if one.mean is None:
                axis.annotate(
                    one.note.replace("\n", " "),
                    (0.5, place),
                    xycoords=("axes fraction", "data"),
                    color=GREY,
                    va="center",
                )
                continue
            if one.ends is not None:
                axis.plot([unit.scale * end for end in one.ends], [place] * 2, color=COLOURS[0], lw=2.4)
            axis.plot(unit.scale * one.mean, place, "o", color=COLOURS[0], ms=6.5)
            end = one.ends[1] if one.ends is not None else one.mean
            end = min(end, 1 + BEYOND / 100) if unit.scale == 100 else end
            axis.annotate(
                unit.value(one.mean), (unit.scale * end, place), (7, 0), textcoords="offset points", va="center"
            )
        axis.set_yticks(range(len(levels)), names)
        axis.set_ylim(len(levels) - 0.4, -0.6)
        axis.margins(x=0.16)
        axis.set_ylabel(label)
        axis.set_xlabel(unit.name + (", %" if unit.scale == 100 else ""))
        cut_at_ends(axis, unit.scale)
        draw_grid(axis, "x")
        told = "; ".join(
            f"{name} {unit.value(one.mean)}" for name, one in zip(names, squares, strict=True) if one.mean is not None
        )
        return as_svg(made, f"{unit.name} by {label}: {told}")


def _is_wide(levels: Sequence[Level]) -> bool:
    """Returns whether a name stands on the line of one of the levels that is longer than in a column."""
    return any(len(short_level(level, _LINE)) > _COLUMN for level in levels)


def short_level(level: Any, most: int = _COLUMN) -> str:
    """Returns a level as figures write it: of long text its beginning.

    Args:
        level: of an axis.
        most: letters of it.
    """
    text = f"{level:g}" if isinstance(level, float) else str(level)
    return text if len(text) <= most else text[: most - 2] + "..."
