"""Students at few bits in the report: beside their float twins, against size, and about their levels."""

from __future__ import annotations

from typing import Any

from rolewise.errors import InputError
from rolewise.report import measured
from rolewise.report.cells import with_interval, with_spread
from rolewise.report.drawing import Drawing
from rolewise.report.measured import Point
from rolewise.report.run_data import RunData
from rolewise.results_format import values_of
from rolewise.statistics import ArmRow, compare_to_float, estimate

#: Layers that are drawn of a network at most.
LAYERS = 8


def twins_table(data: RunData) -> list[dict[str, Any]]:
    """Returns students at few bits beside their float twins, by arm; none where all are in floating point."""
    rows = sorted(compare_to_float(data.results) if data.results is not None else [], key=lambda row: row.arm)
    return [
        {
            "arm": row.arm,
            "student": row.student,
            "bits": f"W{row.weight_bits} A{row.activation_bits}",
            "bytes": f"{row.bytes:,}",
            "operations": f"{row.bit_operations / 1e6:,.1f}",
            "score": with_spread(data.metrics[0], row.score),
            "change": "" if row.difference is None else with_interval(data.metrics[0], row.difference),
        }
        for row in rows
    ]


def size_figure(data: RunData, rows: list[ArmRow]) -> Drawing | None:
    """Draws the metric against size where a student has few bits: its own schedule and the control, distilled."""
    if data.results is None or not compare_to_float(data.results):
        return None
    arms = {(arm["student"], arm["name"]): arm for arm in data.results["arms"]}
    teacher = _first_teacher(data)
    shown = _shown([row for row in rows if arms[row.student, row.name]["teacher_augmentation"] in (teacher, None)])
    several = len({_bits(arm) for arm in arms.values()}) < len({student for student, _ in arms})
    points = [
        Point(
            arm=row.name,
            label=f"{row.student} {_bits(arm)}" if several else _bits(arm),
            network=arm["twin"] or row.student,
            low=_bits(arm) != "float",
            bytes=arm["bytes"],
            bit_operations=arm["bit_operations"],
            score=row.score,
        )
        for row in shown
        for arm in [arms[row.student, row.name]]
    ]
    # Runs of an earlier release do not say what their teachers cost.
    points += [
        Point("teacher", "teacher", "", False, found["bytes"], found["bit_operations"], estimate(values))
        for found in data.results["teachers"]
        if found["augmentation"] == teacher and "bytes" in found
        for values in [list(values_of(found, data.metrics[0].key).values())]
        if values
    ]
    return measured.size_figure(points, data.metrics[0])


def _first_teacher(data: RunData) -> str | None:
    """Returns the teacher that is drawn where there are several: the one under its own schedule, or the first."""
    names = [teacher["augmentation"] for teacher in (data.results or {}).get("teachers", [])]
    return "own" if "own" in names else names[0] if names else None


def _shown(rows: list[ArmRow]) -> list[ArmRow]:
    """Returns the arms under the students' own schedules, with distillation if any has it, and their controls."""
    some = [row for row in rows if row.distilled] or rows
    own = {row.name for row in some if row.augmentation == "own"}
    controls = {row.control for row in some if not own or row.name in own}
    return [row for row in some if row.name in own | controls]


def _bits(arm: dict[str, Any]) -> str:
    if arm["weight_bits"] == arm["activation_bits"] == 32:
        return "float"
    return f"W{arm['weight_bits']}A{arm['activation_bits']}"


def histograms(data: RunData) -> list[dict[str, Any]]:
    """Draws, for each student at few bits, the layers of one training: of the first seed, distilled, its own schedule.

    Raises:
        InputError: a file of histograms is damaged.
    """
    try:
        by_student: dict[str, list[str]] = {}
        for name, content in data.histograms.items():
            if content["layers"]:
                by_student.setdefault(content["student"], []).append(name)
        return [
            _drawn(student, name, data.histograms[name])
            for student, names in by_student.items()
            for name in [min(names, key=lambda name: _rank(name, data.histograms[name]))]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"histograms.json must list layers and their counts ({error!r}); it is damaged") from error


def _rank(name: str, content: dict[str, Any]) -> tuple[int, bool, bool, bool, str]:
    seed = int(name.split("/")[0].removeprefix("seed"))
    others = content["teacher"] != f"seed{seed}/teacher-own"
    return seed, not content["distilled"], content["augmentation"] != "own", others, name


def _drawn(student: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    layers = content["layers"]
    count = min(LAYERS, len(layers))
    places = [round(index * (len(layers) - 1) / max(1, count - 1)) for index in range(count)]
    which = "the one layer" if len(layers) == 1 else f"all {len(layers)} layers"
    which = which if count == len(layers) else f"{count} of {len(layers)} layers"
    caption = (
        f"{name}: {which} at few bits, at the end of training; inputs over {content['images']} validation images, "
        "unaugmented."
    )
    drawn = measured.histograms_figure([layers[place] for place in places], caption, f"levels_of_{student}")
    return {"student": student, "training": name, "layers": len(layers), "drawn": count, "figure": drawn}
