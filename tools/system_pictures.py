"""Draws a picture of each system's claims out of its committed rows, for docs/systems.md.

It is run by tools/results_table.py. A picture is an SVG file that follows the reader's light or dark mode; it keeps the
digest of the numbers that it was drawn from, so that a test can tell whether it shows the committed ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from rolewise.report.palette import FAINT, GREY, PAPER, SURFACES
from rolewise.report.style import FULL, draw_grid, figure
from rolewise.report.svg import as_svg, standalone
from rolewise.statistics.questions import Answer
from rolewise.statistics.study_sentences import Unit, column_unit
from rolewise.systems import System
from rolewise.systems.system_result import verdict_of

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images" / "systems"
#: Characters of a line of a claim.
_LINE = 62
#: The mark of each verdict and its colour; none is told by its colour alone.
_MARKS = {"confirmed": ("o", SURFACES["good"][0]), "refuted": ("X", SURFACES["bad"][0]), "undecided": ("o", GREY)}
_SOURCE = re.compile(r'data-source="(\w+)"')


@dataclass(frozen=True)
class Shown:
    """A claim of a picture.

    Args:
        text: the claim.
        metric: key of the metric.
        verdict: confirmed, refuted or undecided.
        mean: difference of the two sides.
        ends: of its 95% interval; None with one seed.
    """

    text: str
    metric: str
    verdict: str
    mean: float
    ends: tuple[float, float] | None


def shown(answers: list[Answer]) -> list[Shown]:
    """Returns what a picture shows of the answers to claims: all that rows could be compared for."""
    found = []
    for one in answers:
        difference = one.difference
        if difference is not None:
            low, high = difference.low, difference.high
            ends = None if low is None or high is None else (low, high)
            found.append(Shown(one.ask, one.metric, verdict_of(one), difference.mean, ends))
    return found


def digest(claims: list[Shown]) -> str:
    """Returns the digest of the numbers of a picture, to six significant digits."""

    def plain(value: float) -> str:
        return f"{value:.6g}"

    parts = [(one.text, one.metric, one.verdict, plain(one.mean), *map(plain, one.ends or ())) for one in claims]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def source(picture: str) -> str | None:
    """Returns the digest that a picture keeps."""
    found = _SOURCE.search(picture)
    return found[1] if found else None


def picture(system: System, claims: list[Shown]) -> str:
    """Returns the picture of a system's claims, a panel for each metric, as the text of an SVG file."""
    metrics = list(dict.fromkeys(one.metric for one in claims))
    groups = [[one for one in claims if one.metric == metric] for metric in metrics]
    names = [["\n".join(textwrap.wrap(one.text, _LINE)) for one in group] for group in groups]
    lines = [sum(0.6 + 0.55 * (name.count("\n") + 1) for name in group) for group in names]
    height = sum(0.28 * many + 0.55 for many in lines)
    with figure(FULL, height, rows=len(groups), height_ratios=[many + 2 for many in lines]) as (made, axes):
        for axis, group, labels, metric in zip(axes, groups, names, metrics, strict=True):
            _panel(axis, group, labels, column_unit(metric, system.metrics))
        label = "; ".join(f"{one.text}: {one.verdict}" for one in claims)
        drawn = as_svg(made, f"Differences with 95% intervals. {label}")
    return standalone(drawn, {"data-source": digest(claims)})


def _panel(axis: Axes, claims: list[Shown], labels: list[str], unit: Unit) -> None:
    axis.axvline(0, color=GREY, lw=1)
    for place, one in enumerate(claims):
        mark, colour = _MARKS[one.verdict]
        if one.ends is not None:
            axis.plot([unit.scale * end for end in one.ends], [place, place], color=colour, lw=1.8)
        face = PAPER if one.verdict == "undecided" else colour
        axis.plot(unit.scale * one.mean, place, mark, ms=7, mfc=face, mec=colour, mew=1.4)
    axis.set_yticks(range(len(claims)), labels)
    axis.set_ylim(len(claims) - 0.4, -0.6)
    axis.set_xlabel(f"difference in {unit.name}" + (", points" if unit.scale == 100 else ""))
    axis.spines["left"].set_color(FAINT)
    draw_grid(axis, "x")


def write(system: System, answers: list[Answer]) -> None:
    """Draws the picture of a system anew where it does not show the numbers as they are."""
    path, claims = IMAGES / f"{system.name}.svg", shown(answers)
    if not path.exists() or source(path.read_text(encoding="utf-8")) != digest(claims):
        IMAGES.mkdir(parents=True, exist_ok=True)
        path.write_text(picture(system, claims), encoding="utf-8")
