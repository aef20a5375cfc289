"""Answers of a run's networks image by image: accuracy by class, confusion matrices, and pictures that are hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rolewise.errors import InputError
from rolewise.report.arms_figures import ALONE, DISTILLED
from rolewise.report.confusion_table import confusion_table
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.galleries import galleries_of
from rolewise.report.palette import FAINT, INK, PAPER
from rolewise.report.run_data import RunData
from rolewise.report.style import PANEL, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.seals import ANEW
from rolewise.statistics.answers import run_answers
from rolewise.statistics.class_answers import class_accuracy

#: Classes that a figure shows at most: those that the student names worst.
MOST_CLASSES = 24
_LOOKS = {
    "teacher": ("D", INK, PAPER),
    "alone": ("s", ALONE, PAPER),
    "distilled": ("o", DISTILLED, DISTILLED),
    "student": ("o", DISTILLED, DISTILLED),
}


@dataclass(frozen=True)
class Answers:
    """The answers of a student and of those that it is compared with.

    Args:
        student: the student's name.
        arm: the arm of its main network.
        main: the name of that network among ``by_network``.
        by_network: ``distilled``, ``alone`` and ``teacher``, as far as there are, or ``student``: int [S, N].
    """

    student: str
    arm: str
    main: str
    by_network: Mapping[str, np.ndarray]


def predicted(data: RunData) -> dict[str, Any]:
    """Returns a page's parts on single classes and images; empty where a run kept no answers.

    Raises:
        InputError: the file of answers does not go with the run.
    """
    empty: dict[str, Any] = {"classes_figure": None, "confusion": [], "galleries": [], "told_apart": ""}
    if not data.predictions or data.results is None:
        return empty
    try:
        labels = data.predictions["labels"]
        every = _answers(data)
        count = 1 + max(int(labels.max()), *(int(one.max()) for found in every for one in found.by_network.values()))
        names = [*data.classes, *(str(number) for number in range(len(data.classes), count))]
        return {
            "classes_figure": _classes_figure(every, labels, names),
            "confusion": [
                confusion_table(one.student, one.arm, labels, one.by_network[one.main], names) for one in every
            ],
            "galleries": [
                gallery
                for one in every
                for gallery in galleries_of(one.student, one.main, one.by_network, data.predictions, names)
            ],
            "told_apart": f"{len(names)} classes, {len(labels):,} images.",
        }
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{data.root / 'predictions.npz'} must hold the answers of the run's networks ({error!r}); {ANEW}"
        ) from error


def _answers(data: RunData) -> list[Answers]:
    assert data.results is not None
    found = []
    for answer in run_answers(data.results):
        gain = answer.headline
        if gain is not None:
            stages = {"distilled": f"{answer.student}-{gain.arm}", "alone": f"{answer.student}-{gain.control}"}
            stages |= {"teacher": f"teacher-{gain.teacher}"} if gain.teacher is not None else {}
            arm, main = gain.arm, "distilled"
        else:
            arm = next(arm["name"] for arm in data.results["arms"] if arm["student"] == answer.student)
            stages, main = {"student": f"{answer.student}-{arm}"}, "student"
        by_network = {
            name: np.stack([data.predictions[f"answers/seed{seed}/{stage}"] for seed in data.results["seeds"]])
            for name, stage in stages.items()
        }
        found.append(Answers(answer.student, arm, main, by_network))
    return found


def _classes_figure(every: Sequence[Answers], labels: np.ndarray, names: Sequence[str]) -> Drawing:
    """Draws the accuracy on each class of each student, beside itself alone and its teacher."""
    panels, rows = [], []
    for one in every:
        means = {
            name: 100 * class_accuracy(labels, answers, len(names)).mean(0) for name, answers in one.by_network.items()
        }
        rows += [
            (one.student, name, names[place], float(value))
            for name, values in means.items()
            for place, value in enumerate(values)
            if np.isfinite(value)
        ]
        known = [place for place in range(len(names)) if np.isfinite(means[one.main][place])]
        worst = sorted(known, key=lambda place: means[one.main][place])[:MOST_CLASSES]
        panels.append(_panel(one, means, worst[::-1], names, len(known)))
    caption = (
        "Filled circle: the student, with distillation where there is any; hollow square: the same student alone; "
        "diamond: its teacher. The hardest class of each student stands first."
    )
    return drawing(panels, caption, "accuracy_by_class", ["student", "network", "class", "accuracy_percent"], rows)


def _panel(
    one: Answers, means: Mapping[str, np.ndarray], places: Sequence[int], names: Sequence[str], known: int
) -> str:
    with figure(PANEL, 0.25 * len(places) + 1.15) as (made, (axis,)):
        for row, place in enumerate(places):
            ends = [float(values[place]) for values in means.values()]
            axis.plot([min(ends), max(ends)], [row, row], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
        for name, values in means.items():
            mark, colour, face = _LOOKS[name]
            shown = [float(values[place]) for place in places]
            axis.plot(shown, range(len(places)), mark, color=colour, mfc=face, ms=6, mew=1.4, ls="", label=name)
        axis.set_yticks(range(len(places)), [_short(names[place]) for place in places])
        axis.set_ylim(-0.6, len(places) - 0.4)
        axis.set_title(
            one.student + ("" if known == len(places) else f", the hardest {len(places)} of {known} classes")
        )
        axis.set_xlabel("accuracy on the images of a class, %")
        draw_grid(axis, "x")
        made.legend(loc="outside lower center", ncols=3, fontsize=8.5, handletextpad=0.2)
        told = "; ".join(f"{names[place]} {means[one.main][place]:.0f}%" for place in places[::-1])
        return as_svg(made, f"Accuracy of {one.student} by class, the hardest first: {told}")


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}..."
