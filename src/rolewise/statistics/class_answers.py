"""Answers of classifiers image by image: by class, against one another, and the images that are hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rolewise.errors import InputError

#: Integers of any width, or booleans.
Integers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class HardImages:
    """Places of test images, the hardest first.

    Args:
        hardest: images that the student names wrongly in most seeds.
        teacher_right: images that the teacher names rightly in more seeds than the student.
        student_right: images that the student names rightly in more seeds than the teacher.
    """

    hardest: list[int]
    teacher_right: list[int]
    student_right: list[int]


def confusion(labels: Integers, answers: Integers, classes: int) -> Integers:
    """Counts the answers that were given to the images of each class.

    Args:
        labels: int [N], the true classes.
        answers: int [S, N], the classes that a network named, a row for each seed.
        classes: K.

    Returns:
        int64 [K, K], true classes down and answers across, summed over seeds.

    Raises:
        InputError: shapes differ, or a class is outside of 0 to K - 1.
    """
    _check(labels, answers, classes)
    pairs = labels[None].astype(np.int64) * classes + answers
    return np.bincount(pairs.reshape(-1), minlength=classes * classes).reshape(classes, classes)


def class_accuracy(labels: Integers, answers: Integers, classes: int) -> np.ndarray[Any, Any]:
    """Returns the accuracy on the images of each class.

    Args:
        labels: int [N], the true classes.
        answers: int [S, N], the classes that a network named, a row for each seed.
        classes: K.

    Returns:
        float64 [S, K] in [0, 1]; not a number for a class without images.

    Raises:
        InputError: shapes differ, or a class is outside of 0 to K - 1.
    """
    _check(labels, answers, classes)
    counts = np.bincount(labels, minlength=classes)
    hits = np.stack([np.bincount(labels[row == labels], minlength=classes) for row in answers])
    accuracy = np.full(hits.shape, np.nan)
    np.divide(hits, counts, out=accuracy, where=counts > 0)
    return accuracy


def hard_images(labels: Integers, student: Integers, teacher: Integers | None, most: int) -> HardImages:
    """Returns the images that a student or its teacher finds hard; equal ones in the order of the test set.

    Args:
        labels: int [N], the true classes.
        student: int [S, N], the classes that the student named, a row for each seed.
        teacher: int [S, N], likewise; None where there is no teacher.
        most: the largest number of images of each kind.

    Raises:
        InputError: shapes differ.
    """
    _check(labels, student, None)
    right = (student == labels).mean(0)
    taught = right
    if teacher is not None:
        _check(labels, teacher, None)
        taught = (teacher == labels).mean(0)
    return HardImages(
        hardest=_first(1 - right, most),
        teacher_right=_first(taught - right, most),
        student_right=_first(right - taught, most),
    )


def _first(values: np.ndarray[Any, Any], most: int) -> list[int]:
    order = np.argsort(-values, kind="stable")[:most]
    return [int(place) for place in order if values[place] > 0]


def _check(labels: Integers, answers: Integers, classes: int | None) -> None:
    if labels.ndim != 1 or answers.ndim != 2 or answers.shape[1] != len(labels) or not len(answers):
        raise InputError(f"answers must be [S, N] for labels [N], got {answers.shape} and {labels.shape}")
    values = np.concatenate([labels, answers.reshape(-1)])
    if classes is not None and len(values) and (values.min() < 0 or values.max() >= classes):
        raise InputError(f"classes must be 0 to {classes - 1}, got {values.min()} to {values.max()}")
