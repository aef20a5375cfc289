"""Pictures of the test images that are hard, and of those on which teacher and student disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rolewise.report.drawing import table_address
from rolewise.report.strips import strip
from rolewise.statistics.class_answers import hard_images
from rolewise.words import sentence_start

_KINDS = {
    "hardest": ("hardest for {student}", "The student names a wrong class most often."),
    "teacher_right": (
        "the teacher is right and {student} is not",
        "The student names them wrongly more often than the teacher.",
    ),
    "student_right": (
        "{student} is right and the teacher is not",
        "The teacher names them wrongly more often than the student.",
    ),
}


#: Letters of a class's name, with its count, that stand in one line below a small picture.
_SHORT = 7


def galleries_of(
    student: str, main: str, by_network: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the galleries of one student; those without an image are left out.

    Args:
        student: the student's name.
        main: its main network among ``by_network``.
        by_network: the classes that networks named, int [S, N].
        kept: arrays of ``predictions.npz``: ``labels``, ``index`` and ``pictures``.
        names: of the classes.
    """
    labels, index = kept["labels"], [int(place) for place in kept["index"]]
    hard = hard_images(labels, by_network[main], by_network.get("teacher"), len(index))
    galleries = []
    for kind, (title, text) in _KINDS.items():
        # No more than were kept as pictures: a later release may keep more of them.
        places = [place for place in getattr(hard, kind) if place in index][:8]
        if not places:
            continue
        cards = [_card(place, kept["pictures"][index.index(place)], by_network, labels, names) for place in places]
        rows = [
            (place, names[labels[place]], name, _counts(found[:, place], names))
            for place in places
            for name, found in by_network.items()
        ]
        title = title.format(student=student)
        galleries.append(
            {
                "title": sentence_start(title),
                "text": text,
                "cards": cards,
                "long": any(len(text) > _SHORT for card in cards for _, text in card["answers"]),
                "numbers": table_address(["test_image", "class", "network", "answers"], rows),
                "file": f"{kind}_{student}.csv",
            }
        )
    return galleries


def _card(
    place: int, picture: np.ndarray, by_network: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    drawn, label = strip("", picture[None]), int(labels[place])
    answers = [("class", names[label])]
    answers += [(name, _answer(found[:, place], label, names)) for name, found in by_network.items()]
    size = {"address": drawn.address, "width": drawn.width, "height": drawn.height}
    return {"index": place, "label": names[label], "answers": answers, **size}


def _answer(found: np.ndarray, label: int, names: Sequence[str]) -> str:
    """Returns the class that most seeds name, and how many of several seeds are right."""
    classes, counts = np.unique(found, return_counts=True)
    most = names[int(classes[counts.argmax()])]
    return most if len(found) == 1 else f"{most} ({int((found == label).sum())}/{len(found)})"


def _counts(found: np.ndarray, names: Sequence[str]) -> str:
    classes, counts = np.unique(found, return_counts=True)
    return "; ".join(f"{names[int(one)]} {count}" for one, count in zip(classes, counts, strict=True))
