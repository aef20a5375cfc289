"""Accuracies and proper scores against scikit-learn, torchmetrics, numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from logit_cases import answers, any_answers
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_accuracy

from rolewise.errors import InputError
from rolewise.instruments import (
    accuracy,
    brier_decomposition,
    brier_score,
    negative_log_likelihood,
    top_k_accuracy,
)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_other_libraries(seed: int) -> None:
    logits, labels = answers(seed)
    p, y = logits.softmax(1).numpy(), labels.numpy()
    assert accuracy(logits, labels) == pytest.approx(metrics.accuracy_score(y, p.argmax(1)), abs=1e-12)
    assert negative_log_likelihood(logits, labels) == pytest.approx(metrics.log_loss(y, p), abs=1e-9)
    for k in (1, 2, 4):
        expected = metrics.top_k_accuracy_score(y, p, k=k, labels=range(5))
        assert top_k_accuracy(logits, labels, k) == pytest.approx(expected, abs=1e-12)
        theirs = float(multiclass_accuracy(logits, labels, 5, average="micro", top_k=k))
        assert top_k_accuracy(logits, labels, k) == pytest.approx(theirs, abs=1e-6)
    expected = sum(metrics.brier_score_loss(y == k, p[:, k]) for k in range(5))
    assert brier_score(logits, labels) == pytest.approx(expected, abs=1e-9)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, float(np.log(3))], [float(np.log(4)), 0.0]])
    labels = torch.tensor([0, 0, 0])
    # Probabilities of the label: 1/2, 1/4, 4/5.
    assert negative_log_likelihood(logits, labels) == pytest.approx(np.log(2 * 4 * 5 / 4) / 3, abs=1e-6)
    assert brier_score(logits, labels) == pytest.approx(2 * (0.25 + 0.5625 + 0.04) / 3, abs=1e-6)
    # The first of equal logits is the answer.
    assert accuracy(logits, labels) == pytest.approx(2 / 3) == top_k_accuracy(logits, labels, 1)
    assert top_k_accuracy(logits, labels, 2) == 1


def test_the_parts_of_the_brier_score_by_hand() -> None:
    # Forecasts .2 .2 .8 .8 of class 1 in two bins, hits 0 1 1 1: each class has the same parts, so all are doubled.
    p = torch.tensor([0.2, 0.2, 0.8, 0.8], dtype=torch.float64)
    found = brier_decomposition(torch.stack([(1 - p).log(), p.log()], 1), torch.tensor([0, 1, 1, 1]), bins=2)
    assert found.reliability == pytest.approx(2 * (0.3**2 + 0.2**2) / 2)
    assert found.resolution == pytest.approx(2 * 0.25**2)
    assert found.uncertainty == pytest.approx(2 * 0.75 * 0.25)
    assert found.within_bins == pytest.approx(0, abs=1e-12)
    assert found.score == pytest.approx(2 * (0.04 + 0.64 + 0.04 + 0.04) / 4)


@settings(max_examples=60)
@given(any_answers())
def test_what_holds_of_any_answers(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    parts = brier_decomposition(logits, labels, bins=4)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert parts.score == pytest.approx(whole, abs=1e-12) == pytest.approx(brier_score(logits, labels), abs=1e-12)
    assert 0 <= parts.score <= 2 and min(parts.reliability, parts.resolution, parts.uncertainty) >= 0
    ranks = [top_k_accuracy(logits, labels, k) for k in range(1, logits.shape[1] + 1)]
    assert ranks[0] == accuracy(logits, labels) and ranks == sorted(ranks) and ranks[-1] == 1
    order = torch.arange(len(labels) - 1, -1, -1)
    for score in (accuracy, brier_score, negative_log_likelihood):
        assert score(logits[order], labels[order]) == pytest.approx(score(logits, labels), rel=1e-12, abs=1e-12)
    assert negative_log_likelihood(logits + 5, labels) == pytest.approx(negative_log_likelihood(logits, labels))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.tensor([[0.0, 1.0], [0.0, float("nan")]]), torch.tensor([0, 0]), "logits must be finite.* for image 1"),
        (torch.tensor([[0.0, float("inf")]]), torch.tensor([0]), "logits must be finite"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), r"logits must be \[N, K\]"),
        (torch.zeros(2, 1), torch.tensor([0, 0]), r"logits must be \[N, K\]"),
        (torch.zeros(2, 2), torch.tensor([0]), r"labels must be int64 \[2\]"),
        (torch.zeros(1, 2), torch.tensor([0.5]), r"labels must be int64 \[1\]"),
        (torch.zeros(1, 2), torch.tensor([-1]), r"labels must be in \[0, 1\]"),
    ],
)
def test_other_inputs_are_refused(logits: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    for score in (accuracy, negative_log_likelihood, brier_score, brier_decomposition):
        with pytest.raises(InputError, match=message):
            score(logits, labels)


def test_a_k_beyond_the_classes_is_refused() -> None:
    for k in (0, 6):
        with pytest.raises(InputError, match=r"k must be in \[1, 5\] for 5 classes"):
            top_k_accuracy(*answers(0), k=k)
