"""The report's figures; each returns a data address, and none reads a file."""

from __future__ import annotations

import statistics
from textwrap import fill
from typing import Any

import numpy as np

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.style import COLOURS, FAINT, GREY, INK, as_image, colours, figure
from rolewise.statistics import ArmRow


def arms_figure(rows: list[ArmRow]) -> str:
    """Draws each arm's mean and interval, with a dot for each seed; one panel for each student."""
    students = list(dict.fromkeys(row.student for row in rows))
    most = max(sum(row.student == student for row in rows) for student in students)
    with figure(9, 0.27 * most + 1.0, 1, len(students)) as (made, axes):
        for axis, student in zip(axes, students, strict=True):
            mine = [row for row in rows if row.student == student][::-1]
            for place, row in enumerate(mine):
                colour = COLOURS[0] if row.distilled else COLOURS[1]
                axis.plot(
                    [row.metric.scale * value for value in row.values],
                    [place] * len(row.values),
                    ".",
                    color=colour,
                    alpha=0.35,
                    ms=5,
                )
                estimate, scale = row.score, row.metric.scale
                if estimate.low is not None and estimate.high is not None:
                    axis.plot([scale * estimate.low, scale * estimate.high], [place, place], color=colour, lw=1.6)
                axis.plot(scale * estimate.mean, place, "o", color=colour, ms=5.5, mec="white")
                if row.difference is None:
                    axis.axvline(scale * estimate.mean, color=colour, lw=0.7, ls=":")
            axis.set_yticks(range(len(mine)), [row.name for row in mine])
            axis.set_title(student)
            axis.set_xlabel(f"test {rows[0].metric.axis}")
            axis.grid(axis="x", color=FAINT, lw=0.6)
            axis.set_axisbelow(True)
        return as_image(made)


def lineage_figure(lineage: dict[str, Any], title: str, metric: MetricInfo = ACCURACY) -> str:
    """Draws a population over time: a line for each member, coloured by score; arrows from donors to targets."""
    history, events = lineage["history"], lineage["events"]
    scores = np.array([[np.nan if score is None else score for score in line] for line in history], float)
    intervals, members = scores.shape
    best_path = _path(events, lineage["best"], intervals)
    with figure(9, 0.24 * members + 1.1) as (made, axes):
        axis = axes[0]
        for number in range(intervals):
            axis.plot([number + 0.06, number + 0.94], [best_path[number]] * 2, color=INK, lw=6.5, solid_capstyle="butt")
        mesh = axis.scatter(
            np.repeat(np.arange(intervals) + 0.5, members),
            np.tile(np.arange(members), intervals),
            # Scores are the higher the better: of an error they are the negative.
            c=metric.scale * metric.goodness(1) * scores.reshape(-1),
            cmap="viridis" if metric.higher_is_better else "viridis_r",
            s=38,
            zorder=3,
            edgecolors="white",
            linewidths=0.6,
        )
        for event in events:
            if event["donor"] is None:
                continue
            axis.annotate(
                "",
                xy=(event["interval"] + 0.12, event["target"]),
                xytext=(event["interval"] - 0.12, event["donor"]),
                arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
                zorder=2,
            )
        axis.set_xlim(0, intervals)
        axis.set_ylim(members - 0.4, -0.6)
        axis.set_yticks(range(members), [f"member {member}" for member in range(members)])
        axis.set_xticks(range(intervals + 1), [f"{100 * tick / intervals:.0f}%" for tick in range(intervals + 1)])
        axis.set_xlabel("training done; arrows: who copied whom; black: the best member's ancestry")
        axis.set_title(title)
        made.colorbar(mesh, ax=axis, label=fill(f"validation {metric.axis}", 24), pad=0.01)
        return as_image(made)


def _path(events: list[dict[str, Any]], member: int, intervals: int) -> list[int]:
    path = [member] * intervals
    for event in sorted(events, key=lambda event: -event["interval"]):
        if event["donor"] is not None and event["target"] == member:
            member = event["donor"]
            path[: event["interval"]] = [member] * event["interval"]
    return path


def effect_over_time(schedule: dict[str, Any], steps: int = 48) -> dict[str, np.ndarray]:
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


def _triples(augmentation: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Returns (operation, probability, strength), also of random operations, which all have the same."""
    if augmentation.get("kind") == "random_ops":
        # No strength stands for one that is drawn evenly.
        strength = 0.5 if augmentation["strength"] is None else float(augmentation["strength"])
        share = augmentation["num_ops"] / len(augmentation["ops"])
        return [(op, share, strength) for op in augmentation["ops"]]
    return [(op, probability, strength) for op, probability, strength in augmentation.get("triples", [])]


def schedules_figure(by_role: dict[str, list[dict[str, Any]]]) -> str:
    """Draws the roles' schedules side by side: operations by time, mean over seeds of probability x strength."""
    means = {}
    for role, schedules in by_role.items():
        each = [effect_over_time(schedule) for schedule in schedules]
        ops = list(dict.fromkeys(op for series in each for op in series))
        means[role] = {op: np.mean([series.get(op, np.zeros(48)) for series in each], axis=0) for op in ops}
    ops = list(dict.fromkeys(op for series in means.values() for op in series))
    top = max((float(values.max()) for series in means.values() for values in series.values()), default=0.0) or 1.0
    columns = min(3, len(means))
    rows = -(-len(means) // columns)
    with figure(9, (0.23 * max(len(ops), 3) + 1.0) * rows, rows, columns, sharey=True) as (made, axes):
        for axis in axes[len(means) :]:
            axis.set_visible(False)
        for axis, (role, series) in zip(axes, means.items(), strict=False):
            picture = np.array([series.get(op, np.zeros(48)) for op in ops]) if ops else np.zeros((1, 48))
            mesh = axis.imshow(
                picture, aspect="auto", cmap="magma_r", vmin=0, vmax=top, extent=(0, 100, len(ops) - 0.5, -0.5)
            )
            axis.set_yticks(range(len(ops)), ops)
            axis.set_title(f"{role} (mean of {len(by_role[role])} seed{'s' if len(by_role[role]) != 1 else ''})")
            axis.set_xlabel("training done, %")
        made.colorbar(mesh, ax=axes, label="probability x strength", pad=0.01)
        return as_image(made)


def views_figure(previews: dict[str, np.ndarray], role: str) -> str:
    """Draws images clean, and as a role sees them at the beginning, the middle and the end."""
    rows = [("clean", previews["clean"])]
    names = {"0": "beginning", "0.5": "middle", "1": "end"}
    rows += [(names[key], previews[f"{role}/{key}"]) for key in names if f"{role}/{key}" in previews]
    count = len(rows[0][1])
    with figure(8, 8 / count * len(rows) + 0.2, len(rows), count) as (made, axes):
        for number, axis in enumerate(axes):
            label, images = rows[number // count]
            image = images[number % count].transpose(1, 2, 0)
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if number % count == 0:
                axis.set_ylabel(label, color=INK)
        return as_image(made)


def curves_figure(curves: dict[str, dict[str, list[list[dict[str, Any]]]]], metric: MetricInfo = ACCURACY) -> str:
    """Draws learning curves: training loss and the metric on validation images, mean over seeds, a line for each arm.

    Where no arm has a validation metric, because its images were trained on, there is no panel for it.

    Args:
        curves: student -> arm -> for each seed its epochs' records.
        metric: that was validated.
    """
    # Title and factor of each.
    keys = {"train_loss": ("training loss", 1), f"validation_{metric.key}": (f"validation {metric.axis}", metric.scale)}
    lines = [records for arms in curves.values() for records in arms.values()]
    shown = [key for key in keys if any(_mean_curve(records, key)[0] for records in lines)]
    kinds = list(dict.fromkeys(_without_distillation(arm) for arms in curves.values() for arm in arms))
    shades = dict(zip(kinds, colours(len(kinds)), strict=True))
    with figure(9, 2.6 * len(curves) + 0.2, len(curves), len(shown)) as (made, axes):
        for number, (student, arms) in enumerate(curves.items()):
            panels = dict(zip(shown, axes[len(shown) * number :], strict=False))
            for arm, records in arms.items():
                colour = shades[_without_distillation(arm)]
                line = "-" if "+distill" in arm else "--"
                for key, axis in panels.items():
                    x, y = _mean_curve(records, key)
                    y = [keys[key][1] * value for value in y]
                    axis.plot(x, y, line, color=colour, lw=1, label=arm)
            panels["train_loss"].set_yscale("log")
            panels[shown[-1]].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
            for key, axis in panels.items():
                axis.set_title(f"{student}: {keys[key][0]}")
                axis.set_xlabel("training done, %")
                axis.grid(color=FAINT, lw=0.6)
        return as_image(made)


def _without_distillation(arm: str) -> str:
    """Returns an arm without its distillation, which dashes show: the colour is for augmentation and teacher."""
    return arm.replace("+distill", "")


def _mean_curve(records: list[list[dict[str, Any]]], key: str) -> tuple[list[float], list[float]]:
    values: dict[float, list[float]] = {}
    for record in records:
        for entry in record:
            if key in entry:
                values.setdefault(entry["progress"], []).append(entry[key])
    xs = sorted(values)
    return [100 * x for x in xs], [statistics.fmean(values[x]) for x in xs]
