"""Figures out of a study's ``pictures.npz``: reliability, features on a plane of three classes, mixed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import COLOURS, FAINT, GREY, INK, PAPER, colours
from rolewise.report.strips import strip
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg

Arrays = Mapping[str, Any]
_HOW = (("raw", "as it is"), ("fitted", "at the fitted temperature"))


def reliability_figure(arrays: Arrays, names: Sequence[str], caption: str) -> Drawing | None:
    """Draws accuracy over confidence for each cell, raw and at the fitted temperature; None where there is none.

    Args:
        arrays: of the study.
        names: of the cells, in the order of the arrays.
        caption: the text below.
    """
    if "reliability/0/raw/edges" not in arrays:
        return None
    panels, rows = [], []
    for number, name in enumerate(names):
        with figure(PANEL, 3.6) as (made, (axis,)):
            axis.plot([0, 100], [0, 100], color=GREY, lw=0.8, ls=":")
            errors: list[str] = []
            for place, (how, label) in enumerate(_HOW):
                counts, confidence, hits = (
                    np.asarray(arrays[f"reliability/{number}/{how}/{part}"])
                    for part in ("counts", "confidence", "accuracy")
                )
                kept = counts > 0
                error = float((np.abs(hits - confidence)[kept] * counts[kept]).sum() / counts.sum())
                errors.append(f"{100 * error:.1f}")
                colour, face = COLOURS[place], PAPER if how == "raw" else COLOURS[place]
                axis.plot(100 * confidence[kept], 100 * hits[kept], color=colour, lw=1.3, alpha=0.7)
                sizes = 14 + 220 * np.sqrt(counts[kept] / counts.sum())
                axis.scatter(
                    100 * confidence[kept], 100 * hits[kept], s=sizes, fc=face, ec=colour, label=label, zorder=3
                )
                rows += [
                    (name.replace("\n", ": "), label, float(sure), float(hit), int(count))
                    for sure, hit, count in zip(confidence[kept], hits[kept], counts[kept], strict=True)
                ]
            axis.set(xlim=(0, 103), ylim=(0, 103), xlabel="confidence, %", ylabel="accuracy, %")
            told = f"calibration error {errors[0]}, at the temperature {errors[1]}, points"
            axis.set_title(f"{name}\n{told}", fontsize=8.5)
            draw_grid(axis)
            made.legend(loc="outside lower center", ncols=2, fontsize=8, markerscale=0.6)
            panels.append(as_svg(made, f"Accuracy over confidence of {name}: {told}".replace("\n", ": ")))
    header = ["cell", "probabilities", "confidence", "accuracy", "images"]
    return drawing(panels, caption, "reliability", header, rows)


def plane_figure(
    arrays: Arrays, planes: Sequence[Mapping[str, Any]], names: Sequence[str], caption: str
) -> Drawing | None:
    """Draws images of three classes and pairs of them mixed half and half, one panel for each network.

    Args:
        arrays: of the study.
        planes: their entries in ``pictures.json``.
        names: a title for each panel.
        caption: the text below.
    """
    if not planes:
        return None
    panels, rows = [], []
    for number, (plane, name) in enumerate(zip(planes, names, strict=True)):
        points = {part: np.asarray(arrays[f"plane/{number}/{part}"]) for part in _PARTS}
        classes = [str(one) for one in plane["names"]]
        with figure(0.72 * PANEL, 3.4) as (made, (axis,)):
            shown = _plane(axis, points, plane["classes"])
            axis.set_title(name, fontsize=8.5)
            for colour, one in zip(colours(len(classes)), classes, strict=True):
                axis.plot([], [], "o", ms=5, color=colour, label=f"class {one}")
            axis.plot([], [], "x", ms=5, color=INK, label="two, half and half")
            made.legend(loc="outside lower center", ncols=2, fontsize=8, handletextpad=0.2)
            panels.append(as_svg(made, f"Features of {name.replace(chr(10), ', ')}: classes {', '.join(classes)}"))
        rows += [(name.replace("\n", ", "), kind, float(x), float(y)) for kind, x, y in shown]
    return drawing(panels, caption, "features_on_a_plane", ["network", "class", "x", "y"], rows)


_PARTS = ("clean", "labels", "mixed", "pairs", "corners")
#: Images of each class that a plane shows, and as many mixed ones: more would cover one another.
_MOST_POINTS = 60


def _plane(axis: Axes, points: Mapping[str, Any], classes: Sequence[int]) -> list[tuple[str, float, float]]:
    """Draws the points of a plane and returns those that are shown, with their classes."""
    shown: list[tuple[str, float, float]] = []
    for colour, index in zip(colours(len(classes)), classes, strict=True):
        mine = points["clean"][points["labels"] == index][:_MOST_POINTS]
        axis.plot(mine[:, 0], mine[:, 1], "o", ms=3, color=colour, alpha=0.7, mew=0)
        shown += [(str(index), x, y) for x, y in mine[:, :2]]
    # They lie pair of classes by pair: some of each.
    mixed = points["mixed"][:: max(1, -(-len(points["mixed"]) // (len(classes) * _MOST_POINTS)))]
    axis.plot(mixed[:, 0], mixed[:, 1], "x", ms=3, color=INK, alpha=0.6, mew=0.7)
    shown += [("mixed", x, y) for x, y in mixed[:, :2]]
    axis.set_aspect("equal", adjustable="datalim")
    axis.set(xticks=[], yticks=[], xlabel="position on the plane", ylabel="position on the plane")
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color(FAINT)
    return shown


def mixed_rows(arrays: Arrays, mixed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the same images as they are and as each role has them mixed, each with its label.

    Args:
        arrays: of the study.
        mixed: the rows' entries in ``pictures.json``.
    """
    if len(mixed) < 2:
        return []
    rows = []
    for number, row in enumerate(mixed):
        name = "clean" if not row["role"] else f"{row['role']}: {mix_name(row['mix'])}"
        cells = []
        for image, shares in zip(np.asarray(arrays[f"mixed/{number}"]), row["labels"], strict=True):
            alone = len(shares) == 1
            text = shares[0][0] if alone else ", ".join(f"{100 * part:.0f}% {label}" for label, part in shares)
            drawn = strip(name, image[None])
            cells.append({"text": text, "address": drawn.address, "width": drawn.width, "height": drawn.height})
        rows.append({"name": name, "cells": cells})
    return rows


def mix_name(mix: Mapping[str, Any]) -> str:
    """Returns a role's settings of mixing in a few words."""
    words = [str(mix.get("method", "none"))]
    for key, value in mix.items():
        if key == "method":
            continue
        if isinstance(value, dict):
            value = f"{value.get('start', 0):g} to {value.get('end', value.get('start', 0)):g}"
        words.append(f"{key.replace('_', ' ')} {value}")
    return ", ".join(words)
