"""The figure of the gradients of labels and methods over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter

from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import GREY, INK, colours
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg


def gradients_figure(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """Draws the norms of the labels' and the methods' gradients over training, panels for each student.

    Args:
        records: student -> the epochs' records of one training.
    """
    panels, rows = [], []
    for student, record in records.items():
        entries = _measured(record)
        with figure(PANEL, 2.9) as (made, (axis,)):
            _draw_norms(axis, entries)
            axis.set_title(f"{student}: norm of the gradient")
            axis.set_ylabel("norm, after the weight of the term", fontsize=8)
            _over_training(axis)
            panels.append(as_svg(made, f"Norms of the gradients of each term of the loss of {student} over training"))
        if "left" in entries[0]["gradients"]:
            with figure(PANEL, 2.9) as (made, (axis,)):
                _draw_line(axis, entries, [entry["gradients"].get("left") for entry in entries], color=INK)
                axis.set_ylim(0, 1.05)
                axis.set_title(f"{student}: share that the limit leaves")
                axis.set_ylabel("share of the gradient, 0 to 1", fontsize=8)
                _over_training(axis)
                panels.append(as_svg(made, f"Share of the gradient of {student} that the limit leaves over training"))
        for entry in entries:
            terms = {**entry["gradients"]["terms"], **{k: v for k, v in entry["gradients"].items() if k != "terms"}}
            rows += [(student, entry["epoch"], name, value) for name, value in terms.items()]
    caption = (
        "Norms over the student's weights at the first step of some epochs, for one training of each student: of the "
        "first seed, under its own schedule if it has one. A term far below the others hardly moves the weights."
    )
    return drawing(panels, caption, "gradients", ["student", "epoch", "term", "norm"], rows)


def _over_training(axis: Axes) -> None:
    axis.set_xlim(-2, 102)
    axis.set_xlabel("training done, %")
    draw_grid(axis)


def _measured(record: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry for entry in record if "gradients" in entry]


def _draw_norms(axis: Axes, entries: Sequence[Mapping[str, Any]]) -> None:
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
    axis.figure.legend(fontsize=8, loc="outside lower center", ncols=3)


def _draw_line(
    axis: Axes, entries: Sequence[Mapping[str, Any]], values: Sequence[float | None], **settings: Any
) -> None:
    """Draws values at the beginnings of their epochs; what was not finite, or is zero on a log axis, leaves a gap."""
    each = entries[0]["progress"] / entries[0]["epoch"]
    x = [100 * (entry["progress"] - each) for entry in entries]
    numbers = [np.nan if value is None else value for value in values]
    axis.plot(x, numbers, **{"marker": ".", "ms": 4, "lw": 1.1, **settings})
