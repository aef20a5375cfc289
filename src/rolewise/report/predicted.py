"""Answers of a run's networks: numbers by class, confusion matrices, and pictures that are hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rolewise.errors import InputError
from rolewise.report.classes_figure import StudentClasses, classes_figure, classes_table
from rolewise.report.confusion_table import confusion_table
from rolewise.report.galleries import galleries_of
from rolewise.report.run_data import RunData
from rolewise.results_format import example_of
from rolewise.seals import ANEW
from rolewise.statistics.answers import run_answers
from rolewise.statistics.class_answers import class_accuracy, confusion
from rolewise.words import counted


@dataclass(frozen=True)
class ComparedNetworks:
    """The networks of a student that a page looks at.

    Args:
        student: the student's name.
        arm: the arm of its main network.
        main: the name of that network among ``stages``.
        stages: ``distilled``, ``alone`` and ``teacher``, as far as there are, or ``student``: the name of its stage.
    """

    student: str
    arm: str
    main: str
    stages: dict[str, str]

    def held(self, data: RunData, kind: str) -> dict[str, np.ndarray]:
        """Returns the arrays of one kind of each network, a row for each seed."""
        assert data.results is not None
        return {
            name: np.stack([data.predictions[f"{kind}/seed{seed}/{stage}"] for seed in data.results["seeds"]])
            for name, stage in self.stages.items()
        }


def predicted(data: RunData) -> dict[str, Any]:
    """Returns a page's parts on single classes and images; empty where a run kept no answers.

    Raises:
        InputError: the file of answers does not go with the run.
    """
    empty: dict[str, Any] = {"classes_figure": None, "by_class": [], "confusion": [], "galleries": [], "told_apart": ""}
    if not data.predictions or data.results is None:
        return empty
    try:
        every = _networks(data)
        return empty | (_image_by_image if "labels" in data.predictions else _class_by_class)(data, every)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{data.root / 'predictions.npz'} must hold the answers of the run's networks ({error!r}); {ANEW}"
        ) from error


def _image_by_image(data: RunData, every: Sequence[ComparedNetworks]) -> dict[str, Any]:
    labels, answers = data.predictions["labels"], [one.held(data, "answers") for one in every]
    count = 1 + max(int(labels.max()), *(int(one.max()) for held in answers for one in held.values()))
    names = [*data.classes, *(str(number) for number in range(len(data.classes), count))]
    example = example_of(data.results)
    students = [
        StudentClasses(
            one.student,
            one.main,
            {name: 100 * class_accuracy(labels, found, len(names)) for name, found in held.items()},
        )
        for one, held in zip(every, answers, strict=True)
    ]
    return {
        "classes_figure": classes_figure(students, names, "accuracy", f"accuracy on the {example}s of a class, %"),
        "confusion": [
            confusion_table(one.student, one.arm, confusion(labels, held[one.main], len(names)), names)
            for one, held in zip(every, answers, strict=True)
        ],
        "galleries": [
            gallery
            for one, held in zip(every, answers, strict=True)
            for gallery in galleries_of(one.student, one.main, held, data.predictions, names)
        ],
        "told_apart": f"{len(names)} classes, {counted(len(labels), example)}.",
    }


def _class_by_class(data: RunData, every: Sequence[ComparedNetworks]) -> dict[str, Any]:
    """Returns the parts of a run of masks or boxes, of which the numbers of each class were kept."""
    assert data.results is not None
    title, held = str(data.predictions["title"]), [one.held(data, "by_class") for one in every]
    count = max(values.shape[1] for one in held for values in one.values())
    names = [*data.classes, *(str(number) for number in range(len(data.classes), count))]
    students = [
        StudentClasses(one.student, one.main, {name: 100 * values for name, values in values_of.items()})
        for one, values_of in zip(every, held, strict=True)
    ]
    masks = any(name.startswith("confusion/") for name in data.predictions)
    return {
        "classes_figure": classes_figure(students, names, title, f"{title} of a class, %"),
        "by_class": [{"title": title, **classes_table(one, names)} for one in students],
        "confusion": [
            confusion_table(one.student, one.arm, one.held(data, "confusion")[one.main].sum(0), names)
            for one in every
            if masks
        ],
        "told_apart": f"{len(names)} classes, {counted(data.results['test_images'], example_of(data.results))}.",
    }


def _networks(data: RunData) -> list[ComparedNetworks]:
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
        found.append(ComparedNetworks(answer.student, arm, main, stages))
    return found
