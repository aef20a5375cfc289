"""Answers image by image: counts by class worked by hand, and the images that are hard."""

from __future__ import annotations

import numpy as np
import pytest

from rolewise.errors import InputError
from rolewise.statistics.class_answers import class_accuracy, confusion, hard_images

LABELS = np.array([0, 0, 1, 1, 3])
STUDENT = np.array([[0, 1, 1, 1, 0], [0, 1, 0, 1, 3]])
TEACHER = np.array([[0, 0, 1, 0, 3], [1, 0, 1, 0, 3]])


def test_counts_are_of_true_classes_down_and_answers_across() -> None:
    counts = confusion(LABELS, STUDENT, 4)
    assert counts.tolist() == [[2, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert counts.sum() == STUDENT.size


def test_accuracy_is_of_each_class_and_seed_and_unknown_where_no_image_is() -> None:
    found = class_accuracy(LABELS, STUDENT, 4)
    assert np.allclose(found[:, [0, 1, 3]], [[0.5, 1.0, 0.0], [0.5, 0.5, 1.0]]) and np.isnan(found[:, 2]).all()
    counts = np.bincount(LABELS, minlength=4)
    assert np.nansum(found * counts, 1) / counts.sum() == pytest.approx((STUDENT == LABELS).mean(1))


def test_hard_images_are_in_order_and_each_has_a_reason() -> None:
    found = hard_images(LABELS, STUDENT, TEACHER, 8)
    # Image 1 is wrong in both seeds; 2 and 4 in one each. The teacher has 1, 2 and 4 right, and 0 and 3 less often.
    assert (found.hardest, found.teacher_right, found.student_right) == ([1, 2, 4], [1, 2, 4], [3, 0])
    assert hard_images(LABELS, STUDENT, TEACHER, 1).hardest == [1]
    alone = hard_images(LABELS, STUDENT, None, 8)
    assert alone.hardest == [1, 2, 4] and alone.teacher_right == alone.student_right == []


def test_answers_that_do_not_go_with_the_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"answers must be \[S, N\]"):
        hard_images(LABELS, STUDENT[:, :2], None, 3)
    with pytest.raises(InputError, match="classes must be 0 to 2, got 0 to 3"):
        confusion(LABELS, STUDENT, 3)
