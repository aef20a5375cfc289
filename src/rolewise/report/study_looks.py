"""Figures out of a study's ``pictures.npz``: reliability, features on a plane of three classes, mixed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rolewise.report.style import COLOURS, FAINT, GREY, INK, as_image, colours, figure

Arrays = Mapping[str, Any]


def reliability_figure(arrays: Arrays, names: Sequence[str]) -> str | None:
    """Draws accuracy over confidence for each cell, raw and at the fitted temperature; None where there is none.

    Args:
        arrays: of the study.
        names: of the cells, in the order of the arrays.
    """
    if "reliability/0/raw/edges" not in arrays:
        return None
    with figure(3.1 * len(names), 3.7, 1, len(names), sharey=True) as (made, drawn):
        for number, (axis, name) in enumerate(zip(drawn, names, strict=True)):
            axis.plot([0, 100], [0, 100], color=GREY, lw=0.8, ls=":")
            errors: list[str] = []
            for place, (how, label) in enumerate((("raw", "as it is"), ("fitted", "at the fitted temperature"))):
                counts, confidence, hits = (
                    np.asarray(arrays[f"reliability/{number}/{how}/{part}"])
                    for part in ("counts", "confidence", "accuracy")
                )
                kept = counts > 0
                error = float((np.abs(hits - confidence)[kept] * counts[kept]).sum() / counts.sum())
                sizes = 14 + 220 * np.sqrt(counts[kept] / counts.sum())
                errors.append(f"{100 * error:.1f}")
                axis.plot(100 * confidence[kept], 100 * hits[kept], color=COLOURS[place], lw=1.1, alpha=0.7)
                axis.scatter(
                    100 * confidence[kept],
                    100 * hits[kept],
                    s=sizes,
                    fc="white" if how == "raw" else COLOURS[place],
                    ec=COLOURS[place],
                    label=label,
                    zorder=3,
                )
            axis.set(xlim=(0, 103), ylim=(0, 103), xlabel="confidence, %")
            axis.set_title(f"{name}\nerror {errors[0]}, at the temperature {errors[1]}", fontsize=8.5)
        drawn[0].set_ylabel("accuracy, %")
        handles, texts = drawn[0].get_legend_handles_labels()
        made.legend(handles, texts, loc="outside lower center", ncols=2, fontsize=8, markerscale=0.6)
        return as_image(made)


def plane_figure(arrays: Arrays, planes: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | None:
    """Draws images of three classes and pairs of them mixed half and half, one panel for each network.

    Args:
        arrays: of the study.
        planes: their entries in ``pictures.json``.
        names: a title for each panel.
    """
    if not planes:
        return None
    across = min(3, len(planes))
    deep = -(-len(planes) // across)
    with figure(3.1 * across, 3.0 * deep + 0.3, deep, across) as (made, drawn):
        for axis in drawn[len(planes) :]:
            axis.set_visible(False)
        for number, (axis, plane, name) in enumerate(zip(drawn, planes, names, strict=False)):
            _plane(axis, {part: np.asarray(arrays[f"plane/{number}/{part}"]) for part in _PARTS}, plane["classes"])
            axis.set_title(name, fontsize=8.5)
        classes = [str(one) for one in planes[0]["names"]]
        handles = [
            *(
                drawn[0].plot([], [], "o", ms=5, color=colour, label=f"class {name}")[0]
                for colour, name in zip(colours(len(classes)), classes, strict=True)
            ),
            drawn[0].plot([], [], "x", ms=5, color=INK, label="two images, half and half")[0],
        ]
        made.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
        return as_image(made)


_PARTS = ("clean", "labels", "mixed", "pairs", "corners")
#: Images of each class that a plane shows, and as many mixed ones: more would cover one another.
_MOST_POINTS = 60


def _plane(axis: Axes, points: Mapping[str, Any], classes: Sequence[int]) -> None:
    for colour, index in zip(colours(len(classes)), classes, strict=True):
        mine = points["clean"][points["labels"] == index][:_MOST_POINTS]
        axis.plot(mine[:, 0], mine[:, 1], "o", ms=3, color=colour, alpha=0.55, mew=0)
    # They lie pair of classes by pair: some of each.
    mixed = points["mixed"][:: max(1, -(-len(points["mixed"]) // (len(classes) * _MOST_POINTS)))]
    axis.plot(mixed[:, 0], mixed[:, 1], "x", ms=3, color=INK, alpha=0.6, mew=0.7)
    axis.set_aspect("equal", adjustable="datalim")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color(FAINT)


def mixed_figure(arrays: Arrays, mixed: Sequence[Mapping[str, Any]]) -> str | None:
    """Draws the same images as they are and as each role has them mixed, each over its label.

    Args:
        arrays: of the study.
        mixed: the rows' entries in ``pictures.json``.
    """
    if len(mixed) < 2:
        return None
    columns = len(mixed[0]["labels"])
    across, down = 1.12, 1.42
    # One pair of axes for all: a layout of as many as there are images takes seconds.
    with figure(1.36 + 0.85 * columns, 1.09 * len(mixed)) as (made, (axis,)):
        for number, row in enumerate(mixed):
            images = np.asarray(arrays[f"mixed/{number}"])
            for place, (image, shares) in enumerate(zip(images, row["labels"], strict=True)):
                left, top = across * place, down * number
                grey = image.shape[0] == 1
                pixels = image[0] if grey else image.transpose(1, 2, 0)
                axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
                alone = len(shares) == 1
                text = shares[0][0] if alone else "\n".join(f"{100 * part:.0f}% {name}" for name, part in shares)
                axis.text(left + 0.5, top + 1.03, text, ha="center", va="top", fontsize=7, color=GREY if alone else INK)
            name = "clean" if not row["role"] else f"{row['role']}\n{mix_name(row['mix'])}"
            axis.text(-0.1, down * number + 0.5, name, ha="right", va="center", fontsize=8)
        axis.set(xlim=(-1.6, across * columns), ylim=(down * len(mixed), 0), xticks=[], yticks=[])
        axis.set_aspect("equal")
        axis.spines[:].set_visible(False)
        return as_image(made)


def mix_name(mix: Mapping[str, Any]) -> str:
    """Returns a role's settings of mixing in a few words, a line each."""
    words = [str(mix.get("method", "none"))]
    for key, value in mix.items():
        if key == "method":
            continue
        if isinstance(value, dict):
            value = f"{value.get('start', 0):g} to {value.get('end', value.get('start', 0)):g}"
        words.append(f"{key.replace('_', ' ')} {value}")
    return "\n".join(words)
