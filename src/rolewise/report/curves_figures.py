"""Figures over training: learning curves, a panel for each augmentation, and schedules."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.arms_figures import ALONE, DISTILLED
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.palette import FAINT
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg

Record = Sequence[Mapping[str, Any]]
#: Parts of a training that a schedule is drawn at.
STEPS = 48


def curves_figure(curves: Mapping[str, Mapping[str, Sequence[Record]]], metric: MetricInfo = ACCURACY) -> Drawing:
    """Draws learning curves: training loss and the metric on validation images, mean over seeds.

    There is a panel for each augmentation, with one line with distillation and one without; all panels of a student
    share their axes. Where no arm has a validation metric, because its images were trained on, that half is left out.

    Args:
        curves: student -> arm -> for each seed its epochs' records.
        metric: that was validated.
    """
    keys = {"train_loss": "training loss", f"validation_{metric.key}": f"validation {metric.axis}"}
    lines = {
        (student, arm, key): _mean_curve(records, key, metric.scale if key != "train_loss" else 1)
        for student, arms in curves.items()
        for arm, records in arms.items()
        for key in keys
    }
    phases = {student: phases_in(one for each in arms.values() for one in each) for student, arms in curves.items()}
    panels = [
        _small_multiples(student, key, title, {arm: lines[student, arm, key] for arm in arms}, phases[student])
        for student, arms in curves.items()
        for key, title in keys.items()
        if any(lines[student, arm, key][0] for arm in arms)
    ]
    caption = (
        f"Mean over seeds. Blue: with distillation; amber, dashed: without. {len(panels)} figures of small panels, one "
        "for each augmentation, on the same axes. The training loss is each arm's own: those with and without "
        f"distillation differ in it. Validation {metric.title} is shown where no arm was trained on that set."
    )
    for student, parts in phases.items():
        if parts:
            named = ", ".join(f"{title} to {end:.3g}%" for title, end in parts)
            caption += f" Thin lines divide the phases of {student} under distillation: {named} of the training."
    header, rows = _curve_numbers(lines)
    return drawing(panels, caption, "learning_curves", header, rows)


def phases_in(records: Iterable[Record]) -> list[tuple[str, float]]:
    """Returns the title of each phase of a training, and the percentage of the training that is done at its end.

    Args:
        records: of trainings of one student; those without phases do not count.
    """
    record = next((one for one in records if any("phase" in entry for entry in one)), [])
    return list({entry["phase"]: 100 * entry["progress"] for entry in record if "phase" in entry}.items())


def _small_multiples(
    student: str,
    key: str,
    title: str,
    arms: Mapping[str, tuple[list[float], list[float]]],
    phases: Sequence[tuple[str, float]],
) -> str:
    kinds = list(dict.fromkeys(_without_distillation(arm) for arm in arms))
    across = min(3, len(kinds))
    deep = -(-len(kinds) // across)
    width = PANEL if across > 1 else 0.7 * PANEL
    with figure(width, 1.25 * deep + 0.75, deep, across, sharex=True, sharey=True) as (made, axes):
        for place, (axis, kind) in enumerate(zip(axes, kinds, strict=False)):
            for arm, (x, y) in arms.items():
                if _without_distillation(arm) == kind:
                    distilled = "+distill" in arm
                    axis.plot(
                        x, y, "-" if distilled else "--", color=DISTILLED if distilled else ALONE, lw=1.4, gid=arm
                    )
            for _, end in phases[:-1]:
                axis.axvline(end, color=FAINT, lw=0.8, zorder=0)
            axis.set_title(kind, fontsize=8.5, fontweight="normal", pad=3)
            axis.set_xlim(0, 100)
            axis.set_xticks([0, 50, 100])
            axis.tick_params(labelsize=8, labelbottom=place + across >= len(kinds))
            draw_grid(axis)
        for axis in axes[len(kinds) :]:
            axis.set_visible(False)
        if key == "train_loss":
            axes[0].set_yscale("log")
            axes[0].yaxis.set_minor_locator(NullLocator())
        made.suptitle(f"{student}: {title}", x=0.01, ha="left", fontsize=9.5, fontweight="bold")
        made.supxlabel("training done, %", fontsize=8.5)
        made.supylabel(title, fontsize=8.5)
        ends = "; ".join(f"{arm} ends at {y[-1]:.3g}" for arm, (_, y) in arms.items() if y)
        return as_svg(made, f"{title} of {student} over training. {ends}")


def _without_distillation(arm: str) -> str:
    """Returns an arm without its distillation, which the line shows: the panel is for augmentation and teacher."""
    return arm.replace("+distill", "")


def _mean_curve(records: Sequence[Record], key: str, scale: float) -> tuple[list[float], list[float]]:
    values: dict[float, list[float]] = {}
    for record in records:
        for entry in record:
            if entry.get(key) is not None:
                values.setdefault(entry["progress"], []).append(entry[key])
    xs = sorted(values)
    return [100 * x for x in xs], [scale * statistics.fmean(values[x]) for x in xs]


def _curve_numbers(
    lines: Mapping[tuple[str, str, str], tuple[list[float], list[float]]],
) -> tuple[list[str], Iterable[list[Any]]]:
    """Returns a table with a row for each moment of training and a column for each line."""
    known = {name: dict(zip(*line, strict=True)) for name, line in lines.items() if line[0]}
    moments = sorted({moment for line in known.values() for moment in line})
    header = ["training_done_percent", *(f"{student} {arm} {key}" for student, arm, key in known)]
    return header, ([moment, *(line.get(moment) for line in known.values())] for moment in moments)


def effect_over_time(schedule: Mapping[str, Any], steps: int = STEPS) -> dict[str, np.ndarray]:
    """Returns for each operation the sum over its triples of probability x strength, over fractions of training."""
    segments = schedule["segments"]
    drawn = [_triples(segment["augmentation"]) for segment in segments]
    ops = list(dict.fromkeys(op for triples in drawn for op, _, _ in triples))
    series = {op: np.zeros(steps) for op in ops}
    for number, segment in enumerate(segments):
        end = segments[number + 1]["start"] if number + 1 < len(segments) else 1.0
        part = slice(round(segment["start"] * steps), round(end * steps))
        for op, probability, strength in drawn[number]:
            series[op][part] += probability * strength
    return series


def _triples(augmentation: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Returns (operation, probability, strength), also of random operations, which all have the same."""
    if augmentation.get("kind") == "random_ops":
        # No strength stands for one that is drawn evenly.
        strength = 0.5 if augmentation["strength"] is None else float(augmentation["strength"])
        share = augmentation["num_ops"] / len(augmentation["ops"])
        return [(op, share, strength) for op in augmentation["ops"]]
    return [(op, probability, strength) for op, probability, strength in augmentation.get("triples", [])]


def schedules_figure(by_role: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """Draws the roles' schedules: operations by time, mean over seeds of probability x strength.

    Args:
        by_role: role -> its schedules, one for each seed.
    """
    means = {}
    for role, schedules in by_role.items():
        each = [effect_over_time(schedule) for schedule in schedules]
        ops = list(dict.fromkeys(op for series in each for op in series))
        means[role] = {op: np.mean([series.get(op, np.zeros(STEPS)) for series in each], axis=0) for op in ops}
    ops = list(dict.fromkeys(op for series in means.values() for op in series))
    top = max((float(values.max()) for series in means.values() for values in series.values()), default=0.0) or 1.0
    panels = []
    for role, series in means.items():
        number = len(by_role[role])
        seeds = f"mean of {number} seeds" if number != 1 else "one seed"
        with figure(PANEL, 0.27 * max(len(ops), 2) + 0.9) as (made, (axis,)):
            axis.set_title(f"{role} ({seeds})")
            _draw_schedule(axis, [series.get(op, np.zeros(STEPS)) for op in ops], ops, top)
            strongest = max(series, key=lambda op: float(series[op].mean()), default="none")
            panels.append(as_svg(made, f"Schedule of {role} over training, {seeds}; most of all {strongest}"))
    caption = (
        "How much of each operation each role was given: probability times strength, summed over its copies and shown "
        f"as the height of its band; the bands of all roles have one scale, and a full one is {top:.2g}."
    )
    rows = [
        (role, op, 100 * step / STEPS, float(value))
        for role, series in means.items()
        for op, values in series.items()
        for step, value in enumerate(values)
        if step == 0 or value != values[step - 1]
    ]
    header = ["role", "operation", "from_percent_of_training", "probability_times_strength"]
    return drawing(panels, caption, "schedules", header, rows)


def _draw_schedule(axis: Axes, values: Sequence[np.ndarray], ops: Sequence[str], top: float) -> None:
    """Draws a band for each operation, whose height is how much of it there was."""
    edges = np.linspace(0, 100, STEPS + 1)
    for place, band in enumerate(values):
        axis.axhline(place + 0.42, color=FAINT, lw=0.8)
        axis.stairs(place + 0.42 - 0.84 * band / top, edges, baseline=place + 0.42, fill=True, color=DISTILLED)
    axis.set_yticks(range(len(ops)), ops)
    axis.set_ylim(max(len(ops), 1) - 0.5, -0.6)
    axis.set_xlim(0, 100)
    axis.set_xlabel("training done, %")
