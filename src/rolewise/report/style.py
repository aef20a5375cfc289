"""One look for all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rolewise.report.palette import FAINT, GREY, INK

#: Inches of a figure that stands beside another one, and of one that takes the width of the page.
PANEL, FULL = 4.3, 8.4

#: Percent beyond both ends of a fraction, for the mark of a value at one of them.
BEYOND = 4
#: Of captions, where a panel is cut at the ends.
CUT = " Intervals that go beyond 0 or 100% are cut there."

_STYLE: Any = {
    "font.size": 9,
    # What browsers have is narrower, so that a layout that fits here fits there.
    "font.family": "DejaVu Sans",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": GREY,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "figure.dpi": 100,
    # Text stays text: it is sharp, takes the page's font and colour, and can be searched.
    "svg.fonttype": "none",
    "svg.hashsalt": "rolewise",
    "path.simplify_threshold": 0.2,
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


def cut_at_ends(axis: Axes, scale: float) -> bool:
    """Cuts a panel at 0 and 100%, where an interval of few seeds goes beyond what a fraction can be.

    Args:
        axis: the panel, with everything drawn.
        scale: that numbers are shown with: 100 for fractions; others have no ends.

    Returns:
        Whether something is cut.
    """
    low, high = axis.get_xlim()
    if scale != 100 or (low >= -BEYOND and high <= 100 + BEYOND):
        return False
    axis.set_xlim(max(low, -BEYOND), min(high, 100 + BEYOND))
    return True


def draw_grid(axis: Axes, which: Any = "both") -> None:
    """Draws faint lines behind the marks of a panel.

    Args:
        axis: the panel.
        which: the direction, ``x``, ``y`` or ``both``.
    """
    axis.grid(axis=which, color=FAINT, lw=0.7)
    axis.set_axisbelow(True)
