"""The figure of a study's contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import COLOURS, GREY, PAPER
from rolewise.report.study_figures import short_level
from rolewise.report.style import FULL, PANEL, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics.effects import Contrast
from rolewise.statistics.study_sentences import Unit

#: Contrasts in a figure, at most.
MOST_DRAWN = 40


def effects_figure(found: Sequence[Contrast], labels: Mapping[str, str], unit: Unit) -> Drawing:
    """Draws every contrast with its interval: filled where it stands after the adjustment, hollow where it does not.

    Args:
        found: contrasts of one part, student and arm.
        labels: a short name for each axis.
        unit: the metric's unit.
    """
    judged = [one for one in found if one.difference is not None]
    drawn = foremost(judged, MOST_DRAWN)[::-1]
    # An interaction takes two lines: one would leave little room for the intervals.
    names = [contrast_name(one, labels).replace("  x  ", "\nx ") for one in drawn]
    wide = max((len(line) for name in names for line in name.splitlines()), default=0) > 24
    with figure(FULL if wide else PANEL, 0.29 * len(drawn) + 0.14 * sum("\n" in name for name in names) + 0.9) as (
        made,
        (axis,),
    ):
        axis.axvline(0, color=GREY, lw=1)
        for place, one in enumerate(drawn):
            assert one.difference is not None
            colour = COLOURS[0] if one.other is None else COLOURS[1]
            if one.difference.low is not None and one.difference.high is not None:
                ends = [unit.scale * one.difference.low, unit.scale * one.difference.high]
                axis.plot(ends, [place, place], color=colour, lw=1.8, alpha=1 if one.supported else 0.55)
            face = colour if one.supported else PAPER
            axis.plot(unit.scale * one.difference.mean, place, "o", ms=6, mfc=face, mec=colour, mew=1.4)
        axis.set_yticks(range(len(drawn)), names)
        axis.set_ylim(-0.7, len(drawn) - 0.3)
        axis.set_xlabel(f"difference in {unit.name}" + (", points" if unit.scale == 100 else ""))
        draw_grid(axis, "x")
        told = "; ".join(
            f"{contrast_name(one, labels)} {unit.change(one.difference.mean)}"
            for one in drawn[::-1][:12]
            if one.difference
        )
        panel = as_svg(made, f"Differences in {unit.name} between levels with their 95% intervals: {told}")
    caption = (
        "Blue: a level against the first level of its axis. Amber: how much that difference itself differs between "
        "levels of another axis. Filled: Holm's p is at most 0.05."
    )
    if len(drawn) < len(judged):
        caption += f" The {len(drawn)} largest of {len(judged)} are drawn."
    rows = [
        (
            contrast_name(one, labels),
            one.difference.mean,
            one.difference.low,
            one.difference.high,
            one.adjusted,
            one.seeds,
        )
        for one in drawn[::-1]
        if one.difference is not None
    ]
    header = ["contrast", "difference", "low", "high", "p_holm", "seeds"]
    return drawing([panel], caption, f"differences_{unit.name}", header, rows, full=wide)


def foremost(found: Sequence[Contrast], most: int) -> list[Contrast]:
    """Returns the contrasts with the largest differences, in the order in which they are given.

    Args:
        found: contrasts that have a difference.
        most: their number, at most.
    """
    places = sorted(range(len(found)), key=lambda at: -abs(one.mean if (one := found[at].difference) else 0.0))
    return [found[at] for at in sorted(places[:most])]


def contrast_name(one: Contrast, labels: Mapping[str, str]) -> str:
    """Returns the name of a contrast in figures."""
    name = f"{labels[one.axis]}: {short_level(one.level)} against {short_level(one.reference)}"
    if one.other is None:
        return name
    axis, level, reference = one.other
    return f"({name})  x  ({labels[axis]}: {short_level(level)} against {short_level(reference)})"
