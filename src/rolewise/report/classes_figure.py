"""The number of each class of a run's networks, as a figure and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rolewise.report.arms_figures import ALONE, DISTILLED
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import FAINT, INK, PAPER
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.words import sentence_start

#: Classes that a figure shows at most: those that the student names worst.
MOST_CLASSES = 24
_LOOKS = {
    "teacher": ("D", INK, PAPER),
    "alone": ("s", ALONE, PAPER),
    "distilled": ("o", DISTILLED, DISTILLED),
    "student": ("o", DISTILLED, DISTILLED),
}


@dataclass(frozen=True)
class StudentClasses:
    """The number of each class of a student and of those that it is compared with.

    Args:
        student: the student's name.
        main: the name of its main network among ``by_network``.
        by_network: ``distilled``, ``alone`` and ``teacher``, as far as there are, or ``student``: float [S, K], in
            percent; not a number for a class that has none.
    """

    student: str
    main: str
    by_network: Mapping[str, np.ndarray]

    @property
    def means(self) -> dict[str, np.ndarray]:
        """The means [K] over the seeds that have a number."""
        return {name: _mean(values) for name, values in self.by_network.items()}


def classes_figure(every: Sequence[StudentClasses], names: Sequence[str], number: str, axis: str) -> Drawing:
    """Draws the number of each class of each student, beside itself alone and its teacher.

    Args:
        every: the students.
        names: of the classes.
        number: name of the number, as in the file that holds it.
        axis: the number in words, with its unit.
    """
    panels, rows = [], []
    for one in every:
        means = one.means
        rows += [
            (one.student, name, names[place], float(value))
            for name, values in means.items()
            for place, value in enumerate(values)
            if np.isfinite(value)
        ]
        known = [place for place in range(len(names)) if np.isfinite(means[one.main][place])]
        worst = sorted(known, key=lambda place: means[one.main][place])[:MOST_CLASSES]
        panels.append(_panel(one, means, worst[::-1], names, len(known), axis))
    caption = (
        "Filled circle: the student, with distillation where there is any; hollow square: the same student alone; "
        "diamond: its teacher. The hardest class of each student stands first."
    )
    file = number.lower()
    return drawing(panels, caption, f"{file}_by_class", ["student", "network", "class", f"{file}_percent"], rows)


def classes_table(one: StudentClasses, names: Sequence[str]) -> dict[str, Any]:
    """Returns a row for each class: mean and standard deviation over seeds of each network, in percent.

    Args:
        one: a student.
        names: of the classes.
    """
    rows = [
        {"name": name, "cells": [_cell(values[:, place]) for values in one.by_network.values()]}
        for place, name in enumerate(names)
    ]
    return {"student": one.student, "networks": list(one.by_network), "rows": rows}


def _cell(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "none there"
    return f"{known.mean():.1f}" + (f" ± {known.std(ddof=1):.1f}" if len(known) > 1 else "")


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(0)
    return np.where(known.any(0), sums / np.maximum(known.sum(0), 1), np.nan)


def _panel(
    one: StudentClasses,
    means: Mapping[str, np.ndarray],
    places: Sequence[int],
    names: Sequence[str],
    known: int,
    label: str,
) -> str:
    with figure(PANEL, 0.25 * len(places) + 1.15) as (made, (axis,)):
        for row, place in enumerate(places):
            ends = [float(values[place]) for values in means.values() if np.isfinite(values[place])]
            axis.plot([min(ends), max(ends)], [row, row], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
        for name, values in means.items():
            mark, colour, face = _LOOKS[name]
            shown = [float(values[place]) for place in places]
            axis.plot(shown, range(len(places)), mark, color=colour, mfc=face, ms=6, mew=1.4, ls="", label=name)
        axis.set_yticks(range(len(places)), [_short(names[place]) for place in places])
        axis.set_ylim(-0.6, len(places) - 0.4)
        axis.set_title(
            one.student + ("" if known == len(places) else f", the hardest {len(places)} of {known} classes")
        )
        axis.set_xlabel(label)
        draw_grid(axis, "x")
        made.legend(loc="outside lower center", ncols=3, fontsize=8.5, handletextpad=0.2)
        told = "; ".join(f"{names[place]} {means[one.main][place]:.0f}%" for place in places[::-1])
        what = label.split(" ", 1)[0]
        return as_svg(made, f"{sentence_start(what)} of {one.student} by class, the hardest first: {told}")


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}..."
