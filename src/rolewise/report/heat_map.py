"""Heat maps, written as markup at once: a page of a large study has dozens, and a plotting library takes a second each.

Lengths are points, as in the figures of `rolewise.report.svg`.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from rolewise.report.palette import FAINT, GREY, INK, ON_DARK, ON_LIGHT, PAPER, variables
from rolewise.report.style import FULL, PANEL
from rolewise.report.svg import drawn_element
from rolewise.statistics.study_sentences import Unit

#: Squares of a map with numbers in them; a larger one has colours alone.
_MOST_SQUARES = 150
#: Levels that such a map names along a side.
_MOST_TICKS = 14
_T = TypeVar("_T")
_SHADES = matplotlib.colormaps["cividis"]
_INCH, _FONT = 72.0, 9.0
#: Width of a letter of that font, of the broader ones.
_LETTER = 5.6
#: Distances of texts from the squares, and of a square's colour from its neighbours'.
_PAD, _LINE, _GAP = 4.0, 14.0, 1.1


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


@dataclass(frozen=True)
class _Plot:
    """The rectangle of the squares, and the size of one."""

    left: float
    top: float
    width: float
    height: float
    across: float
    down: float


def heat_map(
    grid: Sequence[Sequence[Square]],
    names: tuple[Sequence[str], Sequence[str]],
    labels: tuple[str, str],
    title: str,
    scale: tuple[float, float],
    most: int,
    unit: Unit,
) -> str:
    """Returns a heat map as an ``svg`` element: numbers in its squares, or colours and their scale where it is large.

    Args:
        grid: squares by line, from above, and column.
        names: of the lines' levels and of the columns'.
        labels: of the axis down and of the axis across.
        title: above the map; empty for none.
        scale: the means that have the first and the last colour.
        most: the largest number of cells that a square of the map, or of one beside it, is a mean over.
        unit: the unit of the means.
    """
    down, across = len(grid), len(grid[0])
    large = down * across > _MOST_SQUARES
    width = PANEL if across <= 4 and not large else FULL if large else min(FULL, 1.5 + 1.15 * across)
    width, height = _INCH * width, _INCH * (0.7 * FULL if large else 0.95 + 0.56 * down)
    left = _LINE + _LETTER * max(map(len, names[0])) + _PAD
    top, right = (20.0 if title else _PAD), (62.0 if large else _PAD)
    inner = width - left - right
    # Names of columns that are broader than these take two lines.
    letters = 10**6 if large else max(4, int(inner / across / _LETTER))
    columns = [textwrap.wrap(name, letters)[:2] or [""] for name in names[1]]
    below = _LINE * max(map(len, columns))
    tall = height - top - 2 * _LINE - _PAD
    height += below - _LINE
    plot = _Plot(left, top, inner, tall, inner / across, tall / down)
    marks = _colours(grid, plot, scale, unit) if large else _numbers(grid, plot, scale, most, unit)
    middle = plot.top + plot.height / 2
    for at, name in _shown(names[0], large):
        marks.append(_text(left - _PAD, plot.top + (at + 0.5) * plot.down, name, INK, anchor="end"))
    for at, lines in _shown(columns, large):
        for number, name in enumerate(lines, start=1):
            marks.append(_text(left + (at + 0.5) * plot.across, plot.top + tall + number * _LINE - _PAD, name, GREY))
    marks.append(_text(left + inner / 2, plot.top + tall + below + _LINE - _PAD, labels[1], GREY))
    marks.append(_text(_FONT / 2 + 1, middle, labels[0], GREY, turned=True))
    if title:
        marks.append(_text(left, 9.0, title, INK, size=9.5, anchor="start", bold=True))
    told = f"{unit.name} over {labels[0]} and {labels[1]}. {title}".strip()
    return drawn_element((width, height), told, "\n".join(marks))


def _shown(names: Sequence[_T], large: bool) -> list[tuple[int, _T]]:
    step = math.ceil(len(names) / _MOST_TICKS) if large else 1
    return list(enumerate(names))[::step]


def _numbers(
    grid: Sequence[Sequence[Square]], plot: _Plot, scale: tuple[float, float], most: int, unit: Unit
) -> list[str]:
    marks = []
    for y, line in enumerate(grid):
        for x, one in enumerate(line):
            left, top = plot.left + x * plot.across, plot.top + y * plot.down
            middle, centre = left + plot.across / 2, top + plot.down / 2
            wide, tall = plot.across - 2 * _GAP, plot.down - 2 * _GAP
            box = f'<rect x="{left + _GAP:.2f}" y="{top + _GAP:.2f}" width="{wide:.2f}" height="{tall:.2f}"'
            if one.mean is None:
                marks.append(f'{box} style="fill: {_colour(PAPER)}" />')
                marks += [_hatched(left + _GAP, top + _GAP, wide, tall)] if one.failed else []
                lines = one.note.split("\n")
                for number, text in enumerate(lines):
                    row = centre + 10 * (number - (len(lines) - 1) / 2)
                    marks.append(_text(middle, row, text, GREY, size=8, halo=one.failed))
                continue
            place = _place(one.mean, scale)
            marks.append(f'{box} style="fill: {to_hex(_SHADES(place))}" />')
            mean = unit.value(one.mean) + ("*" if one.cells < most else "")
            colour = ON_DARK if place < 0.5 else ON_LIGHT
            if one.ends is None:
                marks.append(_text(middle, centre, mean, colour, bold=True))
                continue
            ends = f"{unit.value(one.ends[0])} to {unit.value(one.ends[1])}"
            marks.append(_text(middle, centre - 0.13 * plot.down, mean, colour, bold=True))
            marks.append(_text(middle, centre + 0.22 * plot.down, ends, colour, size=7))
    return marks


def _colours(grid: Sequence[Sequence[Square]], plot: _Plot, scale: tuple[float, float], unit: Unit) -> list[str]:
    """Returns squares that are too many for numbers in them: one picture, with the scale of its colours beside."""
    pixels = np.zeros((len(grid), len(grid[0]), 4), np.uint8)  # what is unknown shows the paper
    for y, line in enumerate(grid):
        for x, one in enumerate(line):
            if one.mean is not None:
                pixels[y, x] = _SHADES(_place(one.mean, scale), bytes=True)
    marks = [_picture(pixels, plot.left, plot.top, plot.width, plot.height, smooth=False)]
    beside = plot.left + plot.width + 8
    ramp = _SHADES(np.linspace(1, 0, 64), bytes=True)[:, None]
    marks.append(_picture(np.asarray(ramp, np.uint8), beside, plot.top, 9, plot.height, smooth=True))
    for share in (0.0, 0.5, 1.0):
        row = min(plot.top + plot.height - _FONT / 2, max(plot.top + _FONT / 2, plot.top + (1 - share) * plot.height))
        value = unit.value(scale[0] + share * (scale[1] - scale[0]))
        marks.append(_text(beside + 12, row, value, INK, size=8, anchor="start"))
    name = unit.name + (", %" if unit.scale == 100 else "")
    return [*marks, _text(beside + 46, plot.top + plot.height / 2, name, GREY, turned=True)]


def _place(mean: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return (mean - low) / (high - low) if high > low else 0.5


def _picture(pixels: np.ndarray, left: float, top: float, width: float, height: float, *, smooth: bool) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    look = "" if smooth else ' style="image-rendering: pixelated"'
    size = f'x="{left:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}" preserveAspectRatio="none"'
    return f'<image {size}{look} href="{address}" />'


def _hatched(left: float, top: float, width: float, height: float) -> str:
    lines = []
    for share in (0.25, 0.5, 0.75, 1.0):
        lines.append(f"M {left + share * width:.2f} {top:.2f} L {left:.2f} {top + share * height:.2f}")
        lines.append(f"M {left + width:.2f} {top + share * height:.2f} L {left + share * width:.2f} {top + height:.2f}")
    return f'<path d="{" ".join(lines)}" style="fill: none; stroke: {_colour(FAINT)}" />'


def _text(
    x: float,
    y: float,
    text: str,
    colour: str,
    *,
    size: float = _FONT,
    anchor: str = "middle",
    bold: bool = False,
    turned: bool = False,
    halo: bool = False,
) -> str:
    """Returns a text about a point, on its middle line."""
    look = (
        f"{'font-weight: 700; ' if bold else ''}font-size: {size:g}px; text-anchor: {anchor}; fill: {_colour(colour)}"
    )
    look += f"; stroke: {_colour(PAPER)}; stroke-width: 4px; paint-order: stroke" if halo else ""
    place = f'x="{x:.2f}" y="{y + 0.35 * size:.2f}"' + (f' transform="rotate(-90 {x:.2f} {y:.2f})"' if turned else "")
    return f'<text style="{look}" {place}>{escape(text, quote=False)}</text>'


def _colour(colour: str) -> str:
    return variables().get(colour, colour)
