"""Figures of the comparison: every arm with its interval, and the distance from a student alone to its teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from rolewise.metric_info import MetricInfo
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.long_names import in_lines
from rolewise.report.palette import COLOURS, INK, PAPER
from rolewise.report.style import BEYOND, CUT, PANEL, cut_at_ends, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics import ArmRow, Estimate

#: Letters of an arm's name in one line of a figure.
_LABEL = 26
#: Of networks with distillation, and of those without.
DISTILLED, ALONE = COLOURS[0], COLOURS[1]


def arms_figure(rows: Sequence[ArmRow]) -> Drawing:
    """Draws each arm's mean and interval, with a dot for each seed; a panel for each student.

    Args:
        rows: of `rolewise.statistics.compare`.
    """
    panels, cut = [], False
    for student in dict.fromkeys(row.student for row in rows):
        mine = [row for row in rows if row.student == student][::-1]
        more = sum(in_lines(row.name, _LABEL).count("\n") for row in mine)
        with figure(PANEL, 0.27 * len(mine) + 0.14 * more + 0.9) as (made, (axis,)):
            for place, row in enumerate(mine):
                _draw_arm(axis, row, place)
            axis.set_yticks(range(len(mine)), [in_lines(row.name, _LABEL) for row in mine])
            axis.set_ylim(-0.6, len(mine) - 0.4)
            axis.set_title(student)
            axis.set_xlabel(f"test {rows[0].metric.axis}")
            cut = cut_at_ends(axis, rows[0].metric.scale) or cut
            draw_grid(axis, "x")
            panels.append(as_svg(made, f"Test {rows[0].metric.title} of the arms of {student}: {_read_out(mine)}"))
    most = max(len(row.values) for row in rows)
    several = most > 1
    seeds = " Small dots: seeds; bars: 95% intervals." if several else ""
    return drawing(
        panels,
        f"Filled, blue: with distillation; hollow, amber: without.{seeds}{CUT if cut else ''} Dotted: the controls.",
        "arms",
        ["student", "arm", "distilled", "mean", "low", "high", *(f"value_{n}" for n in range(most))],
        [
            [r.student, r.name, r.distilled, r.score.mean, r.score.low, r.score.high, *_filled(r.values, most)]
            for r in rows
        ],
    )


def _filled(values: Sequence[float], count: int) -> list[float | None]:
    """Returns the values of seeds, and None for each seed that has none."""
    return [*values, *[None] * (count - len(values))]


def _draw_arm(axis: Axes, row: ArmRow, place: int) -> None:
    colour, scale = DISTILLED if row.distilled else ALONE, row.metric.scale
    if len(row.values) > 1:
        axis.plot([scale * value for value in row.values], [place] * len(row.values), ".", color=colour, alpha=0.4)
    _interval(axis, row.score, scale, place, colour)
    face = colour if row.distilled else PAPER
    axis.plot(scale * row.score.mean, place, "o" if row.distilled else "s", color=colour, ms=5.5, mfc=face, mew=1.4)
    if row.name == row.control:
        axis.axvline(scale * row.score.mean, color=colour, lw=0.9, ls=":")


def _interval(axis: Axes, score: Estimate, scale: float, place: float, colour: str, width: float = 1.8) -> None:
    if score.low is not None and score.high is not None:
        ends = [scale * score.low, scale * score.high]
        axis.plot(ends, [place, place], color=colour, lw=width, solid_capstyle="round")


def _read_out(rows: Iterable[ArmRow]) -> str:
    """Returns the means of some arms, as somebody would read them from a figure."""
    return "; ".join(f"{row.name} {row.metric.shown(row.score.mean)}" for row in reversed([*rows]))


def gap_figure(student: str, marks: Sequence[tuple[str, Estimate]], metric: MetricInfo) -> str:
    """Draws the scores of a student alone, of the same with distillation, and of its teacher, on one axis.

    Args:
        student: the student's name.
        marks: names with their estimates over seeds: the student alone, distilled, then the teacher if it was measured.
        metric: of the estimates.

    Returns:
        An ``svg`` element.
    """
    looks = [("s", ALONE, PAPER), ("o", DISTILLED, DISTILLED), ("D", INK, PAPER)]
    with figure(PANEL, 0.42 * len(marks) + 0.85) as (made, (axis,)):
        places = range(len(marks))[::-1]
        for place, (_, score), (mark, colour, face) in zip(places, marks, looks, strict=False):
            mean = metric.scale * score.mean
            _interval(axis, score, metric.scale, place, colour, 3.2)
            axis.plot(mean, place, mark, color=colour, mfc=face, ms=8, mew=1.6)
            end = max(mean, metric.scale * score.high) if score.high is not None else mean
            # Beside a bar that is cut, the number stands at the end of the panel.
            end = min(end, 100 + BEYOND) if metric.unit == "fraction" else end
            axis.annotate(
                metric.shown(score.mean), (end, place), (9, 0), textcoords="offset points", va="center", weight="bold"
            )
        axis.set_yticks(places, [name for name, _ in marks])
        axis.set_ylim(-0.6, len(marks) - 0.4)
        axis.margins(x=0.16)
        axis.set_title(student)
        axis.set_xlabel(f"test {metric.axis}")
        cut_at_ends(axis, metric.scale)
        draw_grid(axis, "x")
        told = "; ".join(f"{name} {metric.shown(score.mean)}" for name, score in marks)
        return as_svg(made, f"Test {metric.title} of {student}: {told}")
