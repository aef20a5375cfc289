"""Agreement and divergence of student and teacher against scipy, torchmetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from logit_cases import answers, any_answers
from scipy import stats
from torchmetrics.functional.classification import multiclass_calibration_error

from rolewise.errors import InputError
from rolewise.instruments import (
    agreement_reliability,
    average_predictive_kl,
    fidelity,
    predictive_kl,
    top1_agreement,
)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergences_are_scipys(temperature: float) -> None:
    (student, labels), (teacher, _) = answers(0), answers(1)
    p, q = ((z / temperature).softmax(1).numpy() for z in (teacher, student))
    np.testing.assert_allclose(predictive_kl(teacher, student, temperature).numpy(), stats.entropy(p, q, axis=1))
    assert average_predictive_kl(student, teacher, temperature) == pytest.approx(stats.entropy(p, q, axis=1).mean())
    found = fidelity(student, teacher, labels, temperature=temperature)
    assert found.teacher_student_kl == pytest.approx(stats.entropy(p, q, axis=1).mean())
    assert found.student_teacher_kl == pytest.approx(stats.entropy(q, p, axis=1).mean())


def test_agreement_by_hand() -> None:
    # Answers of four images: student 0 1 2 2, teacher 0 1 1 0, labels 0 0 2 1.
    student, teacher = (3 * torch.eye(3)[list(says)] for says in ((0, 1, 2, 2), (0, 1, 1, 0)))
    found = fidelity(student, teacher, torch.tensor([0, 0, 2, 1]))
    assert (found.images, found.agreement) == (4, 0.5) and top1_agreement(student, teacher) == 0.5
    assert (found.agreement_teacher_right, found.agreement_teacher_wrong) == (1, pytest.approx(1 / 3))
    assert found.student_right_teacher_wrong == pytest.approx(1 / 3)
    confidence = np.exp(3) / (np.exp(3) + 2)
    assert found.agreement_error == pytest.approx(confidence - 0.5, abs=1e-6)
    # Two of four images cost 3 logits between the two answers' probabilities.
    rest = 1 / (np.exp(3) + 2)
    assert found.teacher_student_kl == pytest.approx(0.5 * 3 * (confidence - rest), abs=1e-6)


def test_the_agreement_s_calibration_is_torchmetrics() -> None:
    (student, _), (teacher, _) = answers(2), answers(3)
    theirs = float(multiclass_calibration_error(student.softmax(1), teacher.argmax(1), 5, n_bins=15, norm="l1"))
    assert agreement_reliability(student, teacher).expected_error == pytest.approx(theirs, abs=1e-6)


@settings(max_examples=60)
@given(any_answers())
def test_what_holds_of_any_pair(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    same, other = fidelity(logits, logits, labels), fidelity(logits.roll(1, 1), logits, labels)
    assert (same.agreement, same.teacher_student_kl, same.student_teacher_kl) == (1, 0, 0)
    right = float((logits.argmax(1) == labels).double().mean())
    assert (same.agreement_teacher_right is None) == (right == 0)
    assert (same.agreement_teacher_wrong is None) == (right == 1)
    assert 0 <= other.agreement <= 1 and 0 <= other.agreement_error <= 1 and other.teacher_student_kl >= 0
    parts = right * (other.agreement_teacher_right or 0) + (1 - right) * (other.agreement_teacher_wrong or 0)
    assert other.agreement == pytest.approx(parts)


def test_other_inputs_are_refused() -> None:
    (student, labels), (teacher, _) = answers(0), answers(1)
    with pytest.raises(InputError, match="student_logits and teacher_logits must be of the same images and classes"):
        top1_agreement(student[:4], teacher)
    with pytest.raises(InputError, match="teacher_logits must be finite"):
        fidelity(student, teacher * float("nan"), labels)
    with pytest.raises(InputError, match="labels must be int64"):
        fidelity(student, teacher, labels[:4])
    with pytest.raises(InputError, match="temperature must be positive"):
        predictive_kl(student, teacher, 0)
