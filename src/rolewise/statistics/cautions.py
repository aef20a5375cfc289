"""Cautions about intervals over seeds, which stand beside every result."""

from __future__ import annotations

import math

from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.words import counted


def sampling_error(accuracy: float, images: int) -> float:
    r"""Returns the standard error that a test set's size alone gives an accuracy.

    .. math:: \sqrt{a (1 - a) / n}

    Args:
        accuracy: a, in [0, 1].
        images: n of the test set, at least 1.

    Raises:
        InputError: one is outside of its range.
    """
    if not 0 <= accuracy <= 1 or images < 1:
        raise InputError(f"accuracy must be in [0, 1] and images at least 1, got {accuracy} and {images}")
    return math.sqrt(accuracy * (1 - accuracy) / images)


def fixed_test_set(
    metric: MetricInfo = ACCURACY,
    value: float | None = None,
    images: int | None = None,
    error: float | None = None,
    example: str = "image",
) -> str:
    """Returns the caution that every interval over seeds needs: one test set, and seeds that share their images.

    Args:
        metric: the metric that is compared.
        value: its best mean; None where it is not known.
        images: of the test set; None likewise.
        error: the standard error of the value that the choice of test images gives; None likewise.
        example: name of one of them.
    """
    size = ""
    if value is not None and images and error is not None:
        size = (
            f": {counted(images, example)}, which give {_with_article(metric.title)} of {metric.shown(value)} a "
            f"standard error of {metric.value(error)}{metric.change_unit} by themselves"
        )
    return (
        "Intervals and p values hold what differs between trainings from seed to seed. All seeds are tested on one "
        f"fixed test set{size}; what another one would change is in no interval. Seeds draw their training {example}s "
        "from the same pool and share many of them, teachers most, so that they are not independent either."
    )


def looked_at(metrics: int, contrasts: int, questions: int = 0) -> str:
    """Returns the caution on a page's number of comparisons, and on the family of its p values.

    Args:
        metrics: that are compared.
        contrasts: of all metrics and parts together.
        questions: that were stated.
    """
    asked = f" and answers {counted(questions, 'question')}" if questions else ""
    among = "; questions are adjusted for one another alone" if questions else ""
    luck = " Among so many some stand out by luck." if contrasts > 20 else ""
    return (
        f"This study looks at {counted(metrics, 'metric')} with {counted(contrasts, 'contrast')} in all{asked}. p "
        "values are adjusted (Holm) for the contrasts of one metric in one part, and for nothing across metrics and "
        f"parts{among}.{luck}"
    )


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"
