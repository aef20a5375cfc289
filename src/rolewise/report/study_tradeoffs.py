"""Figures of a study's cells beside their accuracy: calibration and smoothness, and accuracy under attack."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rolewise.report.style import FAINT, GREY, as_image, colours, figure
from rolewise.statistics.columns import ATTACKED
from rolewise.statistics.effects import Level
from rolewise.statistics.estimates import estimate

#: What stands against accuracy, and how an axis calls it.
AGAINST: dict[str, str] = {
    "ece_at_temperature": "calibration error",
    "nll_at_temperature": "negative log likelihood, nats",
    "linearity_gap_at_temperature": "linearity gap, nats",
}
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
TableRow = Mapping[str, Any]


def tradeoff_figure(
    rows: Sequence[TableRow],
    axes: Mapping[str, Sequence[Level]],
    labels: Mapping[str, str],
    beside: Sequence[TableRow] = (),
) -> str | None:
    """Draws each cell's accuracy against its calibration, likelihood and linearity gap; None where none is measured.

    The axis of most levels gives the colour, the next the mark, the next whether it is filled.

    Args:
        rows: of one part, student and arm, done.
        axes: their levels.
        labels: a short name for each axis.
        beside: rows of the same student elsewhere, such as one without a teacher: grey.
    """
    measured = [name for name in AGAINST if any(row.get(name) is not None for row in rows)]
    if not measured:
        return None
    varied = sorted((axis for axis in axes if len(axes[axis]) > 1), key=lambda axis: -len(axes[axis]))[:3]
    handles = _legend(varied, axes, labels, bool(beside))
    with figure(10.4, max(3.0, 0.185 * len(handles) + 0.4), 1, len(measured)) as (made, drawn):
        for axis, name in zip(drawn, measured, strict=True):
            for cell in _cells([*beside]):
                _dot(axis, cell, name, mfc="none", mec=GREY, marker="o", ms=4.5, alpha=0.8)
            for cell in _cells(rows):
                _dot(axis, cell, name, **_look(cell[0], varied, axes))
            axis.set_xlabel("accuracy, %")
            axis.set_title(AGAINST[name])
            axis.grid(color=FAINT, lw=0.6)
            axis.set_axisbelow(True)
        if handles:
            made.legend(handles=handles, loc="outside right upper", fontsize=7.5, handletextpad=0.2)
        return as_image(made)


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
    return {"mfc": colour if filled else "none", "mec": colour, "marker": _MARKS[places[1] % len(_MARKS)], "ms": 5.5}


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
            face = colour if place < 2 or number % 2 == 0 else "none"
            mark = _MARKS[where[1] % len(_MARKS)]
            handles.append(Line2D([], [], ls="", marker=mark, mfc=face, mec=colour, ms=5.5, label=str(level)))
    if beside:
        handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=GREY, ms=4.5, label="without distillation"))
    return handles


def attack_figure(named: Mapping[str, Sequence[TableRow]]) -> str | None:
    """Draws accuracy over the radius of the ball for a few cells, under FGSM and PGD; None where none is measured.

    Args:
        named: rows of each cell, by what it is called.
    """
    rows = [row for mine in named.values() for row in mine]
    found = {
        (match[1], float(match[2])): column
        for column in dict.fromkeys(column for row in rows for column in row)
        if (match := ATTACKED.fullmatch(column)) and match[3] is None
    }
    if not found or not any(row.get(column) is not None for row in rows for column in found.values()):
        return None
    attacks = [name for name in ("fgsm", "pgd") if any(attack == name for attack, _ in found)]
    with figure(8.4, 3.1, 1, len(attacks), sharey=True) as (made, drawn):
        for axis, attack in zip(drawn, attacks, strict=True):
            radii = {0.0: "accuracy", **{radius: found[attack, radius] for a, radius in sorted(found) if a == attack}}
            for colour, (name, mine) in zip(colours(len(named)), named.items(), strict=True):
                means = [estimate([100 * float(row[column]) for row in mine]) for column in radii.values()]
                axis.plot(
                    list(radii),
                    [one.mean for one in means],
                    "o-",
                    ms=4,
                    color=colour,
                    label=name.replace("\n", ": "),
                )
                if all(one.low is not None for one in means):
                    low, high = ([getattr(one, end) for one in means] for end in ("low", "high"))
                    axis.fill_between(list(radii), low, high, color=colour, alpha=0.13, lw=0)
            axis.set_title(attack.upper())
            axis.set_xlabel("radius, levels of 255")
            axis.set_xticks(list(radii))
            axis.grid(color=FAINT, lw=0.6)
            axis.set_axisbelow(True)
        drawn[0].set_ylim(0, 100)
        drawn[0].set_ylabel("accuracy, %")
        made.legend(*drawn[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        return as_image(made)
