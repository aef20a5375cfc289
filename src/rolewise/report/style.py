"""One look for all figures."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

INK, GREY, FAINT = "#1d2733", "#6b7785", "#dfe4ea"
#: Told apart by people who do not see all colours (after Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#7a5195")


def colours(count: int) -> list[str]:
    """Returns as many colours, no two alike: those of `COLOURS`, then others spread over hue and lightness.

    Args:
        count: the number of colours.
    """
    found = [*COLOURS]
    number = 0
    while len(found) < count:
        # Steps of the golden angle never come back to a hue; three lightnesses tell neighbours apart.
        hue, light = (0.11 + number * 0.6180339887) % 1, (0.38, 0.58, 0.26)[number % 3]
        colour = to_hex(colorsys.hls_to_rgb(hue, light, 0.62))
        number += 1
        if colour not in found:
            found.append(colour)
    return found[:count]


_STYLE: Any = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "xtick.color": GREY,
    "ytick.color": INK,
    "text.color": INK,
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "figure.dpi": 100,
}


@contextmanager
def figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **settings: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Gives a figure in the house's style and its axes, row by row; it is closed afterwards."""
    with plt.rc_context(_STYLE):
        made, axes = plt.subplots(
            rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **settings
        )
        try:
            yield made, list(axes.flat)
        finally:
            plt.close(made)


def as_image(made: Figure) -> str:
    """Returns a figure as a data address of a WebP without loss, which takes a third of a PNG."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="webp", dpi=144, pil_kwargs={"lossless": True})
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
