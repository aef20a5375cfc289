"""Metrics of texts against scikit-learn and scipy, weights as resamples, and tagging with its spans."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from rolewise.batch import Batch, Outputs
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.tasks import METRICS, Classification, Regression, Tagging, build_task, with_metrics
from rolewise.tasks.tag_metrics import spans_of


def drawn(seed: int, count: int = 60, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=stream)
    return torch.randn(count, classes, generator=stream) + 1.5 * torch.eye(classes)[labels], labels


@pytest.mark.parametrize("classes", [2, 4])
def test_f1_and_matthews_agree_with_scikit_learn(classes: int) -> None:
    logits, labels = drawn(classes, classes=classes)
    task = with_metrics(Classification(), ["f1_micro", "matthews"])
    metric = task.metric()
    for part in (slice(0, 40), slice(40, 60)):
        metric.add(Outputs({"logits": logits[part]}), Batch(logits[part], labels[part]))
    answers = logits.argmax(1).numpy()
    weights = torch.randint(0, 4, (60,), generator=torch.Generator().manual_seed(1)).double()
    for given in (None, weights):
        found, sample = metric.compute(given), None if given is None else given.numpy()
        assert found["f1_micro"] == pytest.approx(
            reference.f1_score(labels, answers, average="micro", sample_weight=sample), abs=1e-9
        )
        assert found["matthews"] == pytest.approx(
            reference.matthews_corrcoef(labels, answers, sample_weight=sample), abs=1e-9
        )


def test_matthews_of_one_class_is_zero_and_by_hand() -> None:
    metric = METRICS["matthews"]().empty()
    logits = torch.tensor([[2.0, 0.0]] * 4)
    metric.add(Outputs({"logits": logits}), Batch(logits, torch.tensor([0, 1, 0, 1])))
    assert metric.compute() == {"matthews": 0.0}
    metric = METRICS["matthews"]().empty()
    logits = torch.eye(2)[[0, 1, 0, 1]]
    metric.add(Outputs({"logits": logits}), Batch(logits, torch.tensor([0, 1, 1, 1])))
    # Hits 1 and 2, one false: (1 x 2 - 1 x 0) / sqrt(2 x 1 x 2 x 3).
    assert metric.compute()["matthews"] == pytest.approx(2 / np.sqrt(12), abs=1e-12)


def test_pearson_agrees_with_scipy() -> None:
    stream = torch.Generator().manual_seed(0)
    targets = torch.randn(50, 2, generator=stream).double()
    predictions = targets + torch.randn(50, 2, generator=stream)
    metric = with_metrics(Regression(), ["pearson"]).metric()
    metric.add(Outputs({"predictions": predictions}), Batch(predictions, targets))
    both = [stats.pearsonr(predictions[:, at], targets[:, at])[0] for at in (0, 1)]
    assert metric.compute()["pearson"] == pytest.approx(np.mean(both), abs=1e-9)
    rows = torch.randint(0, 50, (50,), generator=stream)
    again = [stats.pearsonr(predictions[rows, at], targets[rows, at])[0] for at in (0, 1)]
    weights = torch.bincount(rows, minlength=50).double()
    assert metric.compute(weights)["pearson"] == pytest.approx(np.mean(again), abs=1e-9)
    flat = METRICS["pearson"]().empty()
    flat.add(Outputs({"predictions": torch.ones(3, 1)}), Batch(torch.ones(3, 1), torch.arange(3.0)))
    assert np.isnan(flat.compute()["pearson"])
    with pytest.raises(InputError, match="which is one of regression"):
        with_metrics(Classification(), ["pearson"])


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-a I-a O", {("a", 1, 3)}),
        ("B-a B-a I-a", {("a", 0, 1), ("a", 1, 3)}),
        ("I-a I-b I-b", {("a", 0, 1), ("b", 1, 3)}),
        ("B-a I-b O I-b", {("a", 0, 1), ("b", 1, 2), ("b", 3, 4)}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_spans_are_those_of_conll(tags: str, spans: set[tuple[str, int, int]]) -> None:
    assert spans_of(tags.split()) == spans


def test_span_f1_worked_by_hand_and_with_weights() -> None:
    task = build_task({"name": "tagging", "tags": ["O", "B-a", "I-a"]})
    assert [info.key for info in task.metrics] == ["span_f1", "token_accuracy", "loss"]
    targets = torch.tensor([[-100, 1, 2, 0, -100], [-100, 1, 0, 1, -100]], dtype=torch.int16)
    answers = torch.tensor([[0, 1, 2, 1, 0], [0, 1, 2, 1, 0]])
    logits = 3.0 * torch.eye(3)[answers]
    metric = task.metric()
    metric.add(Outputs({"logits": logits}), Batch(logits, targets))
    # Found 2 + 2 spans, there are 1 + 2, of which 1 + 1 are found whole.
    found = metric.compute()
    assert found["span_f1"] == pytest.approx(2 * 2 / (4 + 3)) and found["token_accuracy"] == pytest.approx(4 / 6)
    assert metric.compute(torch.tensor([1.0, 0.0]))["span_f1"] == pytest.approx(2 * 1 / (2 + 1))
    assert metric.per_example() is None


def test_tagging_trains_on_the_tokens_that_have_a_tag() -> None:
    task = Tagging()
    targets = torch.tensor([[-100, 1, 0], [-100, -100, -100]])
    logits = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    batch = Batch(torch.zeros(2, 3), targets)
    (loss,) = task.losses(Outputs({"logits": logits}), batch).values()
    expected = -(logits[0, 1].log_softmax(0)[1] + logits[0, 2].log_softmax(0)[0]) / 2
    torch.testing.assert_close(loss, torch.stack([expected, torch.zeros(())]))
    loss.sum().backward()
    assert logits.grad is not None and logits.grad[0, 0].abs().sum() == 0 and logits.grad[1].abs().sum() == 0
    rows, wanted = task.rows(Outputs({"logits": logits}), Outputs({"logits": logits}), batch)
    assert rows.owner is not None and rows.weight is not None and rows.weight.tolist() == [0, 1, 1, 0, 0, 0]
    assert rows.counted(wanted)[0].labels.tolist() == [1, 0]  # type: ignore[union-attr]
    for targets, words in ((torch.zeros(2), "whole numbers"), (torch.zeros(2, 3), "whole numbers")):
        with pytest.raises(InputError, match=words):
            task.check(Batch(torch.zeros(2, 3), targets))
    with pytest.raises(InputError, match="set its pooling to tokens"):
        task.run(torch.nn.Linear(3, 2), torch.zeros(2, 3))
    with pytest.raises(InputError, match="tags must be two or more distinct names"):
        Tagging(tags=["O", "O"])


def test_taggers_are_distilled_on_their_logits() -> None:
    teacher, student = torch.nn.Embedding(9, 3), torch.nn.Embedding(9, 3)
    distiller = Distiller(teacher, student, [configure("kd")], task=Tagging())
    ids = torch.arange(6).view(2, 3)
    terms = distiller(ids, torch.tensor([[0, 1, -100], [2, -100, -100]]))
    terms.total.backward()
    assert student.weight.grad is not None
    assert student.weight.grad.abs().sum(1).gt(0).tolist() == [True, True, False, True, False, False, *[False] * 3]
