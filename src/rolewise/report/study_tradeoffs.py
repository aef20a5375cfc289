"""Figures of a study's cells beside their accuracy: calibration and smoothness, and accuracy under attack."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import GREY, PAPER, colours
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics.columns import ATTACKED
from rolewise.statistics.effects import Level
from rolewise.statistics.estimates import estimate

#: What stands against accuracy, and how an axis calls it.
AGAINST: dict[str, str] = {
    "ece_at_temperature": "calibration error, 0 to 1",
    "nll_at_temperature": "negative log likelihood, nats",
    "linearity_gap_at_temperature": "linearity gap, nats",
}
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
TableRow = Mapping[str, Any]


def tradeoff_figure(
    rows: Sequence[TableRow],
    axes: Mapping[str, Sequence[Level]],
    labels: Mapping[str, str],
    beside: Sequence[TableRow],
    caption: str,
) -> Drawing | None:
    """Draws each cell's accuracy against its calibration, likelihood and linearity gap; None where none is measured.

    The axis of most levels gives the colour, the next the mark, the next whether it is filled.

    Args:
        rows: of one part, student and arm, done.
        axes: their levels.
        labels: a short name for each axis.
        beside: rows of the same student elsewhere, such as one without a teacher: grey.
        caption: the text below.
    """
    measured = [name for name in AGAINST if any(row.get(name) is not None for row in rows)]
    if not measured:
        return None
    varied = sorted((axis for axis in axes if len(axes[axis]) > 1), key=lambda axis: -len(axes[axis]))[:3]
    handles = _legend(varied, axes, labels, bool(beside))
    panels = []
    for name in measured:
        with figure(PANEL, 3.2) as (made, (axis,)):
            for cell in _cells([*beside]):
                _dot(axis, cell, name, mfc=PAPER, mec=GREY, marker="o", ms=4.5, alpha=0.8)
            for cell in _cells(rows):
                _dot(axis, cell, name, **_look(cell[0], varied, axes))
            axis.set_xlabel("accuracy, %")
            axis.set_ylabel(AGAINST[name])
            axis.set_title(AGAINST[name].partition(",")[0])
            draw_grid(axis)
            panels.append(as_svg(made, f"Accuracy of {len(_cells(rows))} cells against {AGAINST[name]}"))
    if handles:
        with figure(PANEL, 0.2 * len(handles) + 0.3) as (made, (axis,)):
            axis.set_axis_off()
            made.legend(handles=handles, loc="upper left", fontsize=8, handletextpad=0.2)
            panels.append(as_svg(made, "What the marks mean: " + ", ".join(str(one.get_label()) for one in handles)))
    header = ["cell", "seed", *varied, "accuracy", *measured]
    numbers = [tuple(row.get(name) for name in header) for row in [*rows, *beside]]
    return drawing(panels, caption, "accuracy_and_calibration", header, numbers)


def _cells(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    cells: dict[str, list[TableRow]] = {}
    for row in rows:
        cells.setdefault(str(row["cell"]), []).append(row)
    return list(cells.values())


def _dot(axis: Axes, cell: Sequence[TableRow], name: str, **look: Any) -> None:
    known = [row for row in cell if row.get(name) is not None and row.get("accuracy") is not None]
    if known:
        across, up = (statistics.fmean(float(row[key]) for row in known) for key in ("accuracy", name))
        axis.plot(100 * across, up, ls="", **look)


def _look(row: TableRow, varied: Sequence[str], axes: Mapping[str, Sequence[Level]]) -> dict[str, Any]:
    places = [list(axes[axis]).index(row[axis]) for axis in varied] + [0, 0, 0]
    colour = colours(places[0] + 1)[places[0]]
    filled = places[2] % 2 == 0
    return {"mfc": colour if filled else PAPER, "mec": colour, "marker": _MARKS[places[1] % len(_MARKS)], "ms": 5.5}


def _legend(
    varied: Sequence[str], axes: Mapping[str, Sequence[Level]], labels: Mapping[str, str], beside: bool
) -> list[Line2D]:
    handles = []
    for place, axis in enumerate(varied):
        handles.append(Line2D([], [], ls="", label=f"{labels[axis]}:"))
        for number, level in enumerate(axes[axis]):
            where: list[int] = [0, 0, 0]
            where[place] = number
            colour = colours(where[0] + 1)[where[0]] if place == 0 else GREY
            face = colour if place < 2 or number % 2 == 0 else PAPER
            mark = _MARKS[where[1] % len(_MARKS)]
            handles.append(Line2D([], [], ls="", marker=mark, mfc=face, mec=colour, ms=5.5, label=str(level)))
    if beside:
        handles.append(Line2D([], [], ls="", marker="o", mfc=PAPER, mec=GREY, ms=4.5, label="without distillation"))
    return handles


def attack_figure(named: Mapping[str, Sequence[TableRow]], caption: str) -> Drawing | None:
    """Draws accuracy over the radius of the ball for a few cells, under FGSM and PGD; None where none is measured.

    Args:
        named: rows of each cell, by its name.
        caption: the text below.
    """
    rows = [row for mine in named.values() for row in mine]
    found = {
        (match[1], float(match[2])): column
        for column in dict.fromkeys(column for row in rows for column in row)
        if (match := ATTACKED.fullmatch(column)) and match[3] is None
    }
    if not found or not any(row.get(column) is not None for row in rows for column in found.values()):
        return None
    panels: list[str] = []
    numbers: list[tuple[Any, ...]] = []
    for attack in [name for name in ("fgsm", "pgd") if any(attack == name for attack, _ in found)]:
        radii = {0.0: "accuracy", **{radius: found[attack, radius] for a, radius in sorted(found) if a == attack}}
        with figure(PANEL, 3.6) as (made, (axis,)):
            for colour, (name, mine) in zip(colours(len(named)), named.items(), strict=True):
                means = [estimate([100 * float(row[column]) for row in mine]) for column in radii.values()]
                name = name.replace("\n", ": ")
                axis.plot(list(radii), [one.mean for one in means], "o-", ms=4, color=colour, label=name)
                if all(one.low is not None for one in means):
                    low, high = ([getattr(one, end) for one in means] for end in ("low", "high"))
                    axis.fill_between(list(radii), low, high, color=colour, alpha=0.16, lw=0)
                numbers += [
                    (attack, name, radius, one.mean, one.low, one.high)
                    for radius, one in zip(radii, means, strict=True)
                ]
            axis.set_title(attack.upper())
            axis.set(xlabel="radius, levels of 255", ylabel="accuracy, %", xticks=list(radii), ylim=(0, 100))
            draw_grid(axis)
            made.legend(loc="outside lower center", ncols=1, fontsize=8)
            panels.append(as_svg(made, f"Accuracy over the radius of the attack {attack.upper()}"))
    header = ["attack", "cell", "radius_levels", "accuracy_percent", "low", "high"]
    return drawing(panels, caption, "accuracy_under_attack", header, numbers)
