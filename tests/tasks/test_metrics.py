"""Metrics beside a task's own: registered ones against other libraries, and what is refused of the user's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.foreign_code import ForeignError
from rolewise.instruments.calibration import expected_calibration_error
from rolewise.metric_info import CLASS_METRICS, MetricInfo
from rolewise.tasks import METRICS, Classification, MultiLabel, Regression, reward_of, with_metrics
from rolewise.tasks.protocol import Task

K = 7
CHOSEN = ["balanced_accuracy", "f1_macro", "expected_calibration_error", {"name": "top_k_accuracy", "k": 2}]
OWN = """
import torch
from rolewise.tasks import MetricInfo, metric


@metric(title="distance to the target", higher_is_better=False)
def distance(outputs, batch, *, power=1.0):
    probability = outputs.logits.softmax(1).gather(1, batch.targets[:, None])[:, 0]
    return (1 - probability) ** power


def plain(outputs, batch):
    return outputs.logits.argmax(1) == batch.targets


class Worst:
    info = MetricInfo("worst_class", "accuracy of the worst class", "fraction")

    def __init__(self, classes: int = 7):
        self.hits, self.labels, self.classes = [], [], classes

    def add(self, outputs, batch):
        self.hits.append((outputs.logits.argmax(1) == batch.targets).double())
        self.labels.append(batch.targets)

    def compute(self, weights=None):
        hits, labels = torch.cat(self.hits), torch.cat(self.labels)
        weights = torch.ones_like(hits) if weights is None else weights
        sums = [torch.zeros(self.classes).double().index_add(0, labels, one) for one in (weights * hits, weights)]
        return (sums[0] / sums[1]).nan_to_num(1.0).min()

    def per_example(self):
        return None


class Halfway:
    def add(self, outputs, batch): ...


class Nameless(Worst):
    info = "worst"


def scalar(outputs, batch):
    return outputs.logits.mean()


def raising(outputs, batch):
    return {}["nothing"]


def alone(outputs): ...


def accuracy(outputs, batch):
    return outputs.logits[:, 0]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with metrics of the user."""
    (tmp_path / "own_numbers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_numbers", raising=False)
    return "own_numbers"


def examples(count: int = 60) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    # The last class is neither there nor predicted.
    logits = torch.randn(count, K, generator=stream) * 2
    logits[:, -1] = -9
    return logits, torch.randint(K - 1, (count,), generator=stream)


def measured(task: Task, weights: Tensor | None = None) -> dict[str, float]:
    metric, (logits, labels) = task.metric(), examples()
    for part in torch.arange(len(labels)).split(25):
        metric.add(Outputs({"logits": logits[part]}), Batch(logits[part], labels[part]))
    return metric.compute(weights)


def test_registered_metrics_are_those_of_other_libraries():
    found, (logits, labels) = measured(with_metrics(Classification(), CHOSEN)), examples()
    answers = logits.argmax(1)
    assert list(found)[:5] == [
        *("balanced_accuracy", "f1_macro", "expected_calibration_error", "top_2_accuracy", "accuracy")
    ]
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, answers))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(labels, answers, average="macro"))
    assert found["top_2_accuracy"] == pytest.approx(
        reference.top_k_accuracy_score(labels, logits, k=2, labels=np.arange(K))
    )
    assert found["expected_calibration_error"] == pytest.approx(expected_calibration_error(logits.double(), labels))


def test_weights_count_examples_as_copies_of_them():
    logits, labels = examples()
    copies = torch.randint(4, (len(labels),), generator=torch.Generator().manual_seed(1))
    weighted = measured(with_metrics(Classification(), CHOSEN), copies.double())
    metric = with_metrics(Classification(), CHOSEN).metric()
    rows = torch.arange(len(labels)).repeat_interleave(copies)
    metric.add(Outputs({"logits": logits[rows]}), Batch(logits[rows], labels[rows]))
    assert weighted == pytest.approx(metric.compute())


def test_the_primary_metric_comes_first_and_everything_else_is_the_tasks():
    task = Classification(label_smoothing=0.1)
    assert with_metrics(task) is task
    for entries, primary, keys in (
        (["f1_macro"], None, ["f1_macro", "accuracy", "loss"]),
        (["f1_macro"], "loss", ["loss", "f1_macro", "accuracy"]),
        (["loss"], None, ["loss", "accuracy"]),
        ([], "loss", ["loss", "accuracy"]),
        ([{"name": "top_k_accuracy", "k": 3}, "f1_macro"], "top_k_accuracy", ["top_3_accuracy", "f1_macro"]),
    ):
        found = with_metrics(task, entries, primary)
        assert [info.key for info in found.metrics][: len(keys)] == keys
        assert list(measured(found)) == [info.key for info in found.metrics]
        assert found.label_smoothing == 0.1 and found.name == "classification"
    assert measured(with_metrics(task, ["f1_macro"]))["accuracy"] == measured(task)["accuracy"]
    for primary, each in (("top_3_accuracy", True), ("accuracy", True), ("loss", False), ("f1_macro", False)):
        metric = with_metrics(task, [{"name": "top_k_accuracy", "k": 3}, "f1_macro"], primary).metric()
        logits, labels = examples()
        metric.add(Outputs({"logits": logits}), Batch(logits, labels))
        values = metric.per_example()
        assert (values is not None) == each
        assert values is None or float(values.mean()) == pytest.approx(metric.compute()[primary])


def test_a_reward_is_what_the_primary_metric_is_built_from(own: str):
    task = Classification()
    assert reward_of(task) is reward_of(task, ["accuracy"]) is reward_of(task, ["f1_macro"], "accuracy") is None
    assert reward_of(task, ["loss"]) == reward_of(task, ["f1_macro"], "loss") == {"key": "loss"}
    entry = {"name": f"{own}:distance", "power": 2.0}
    assert reward_of(task, ["f1_macro", entry], "distance") == {"key": "distance", "metric": entry}


def test_metrics_of_ones_own_are_a_function_or_a_class(own: str):
    entries = [{"name": f"{own}:distance", "power": 2.0}, f"{own}:plain", f"{own}:Worst"]
    task = with_metrics(Classification(), entries)
    assert task.metrics[:3] == (
        MetricInfo("distance", "distance to the target", "", False),
        MetricInfo("plain", "plain"),
        MetricInfo("worst_class", "accuracy of the worst class", "fraction"),
    )
    found, (logits, labels) = measured(task), examples()
    probability = logits.softmax(1)[torch.arange(len(labels)), labels]
    assert found["distance"] == pytest.approx(float(((1 - probability) ** 2).double().mean()))
    assert found["plain"] == found["accuracy"]
    hits = [float((logits.argmax(1) == k)[labels == k].double().mean()) for k in range(K - 1)]
    assert found["worst_class"] == pytest.approx(min(hits))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Halfway", "must have compute, per_example; write a function"),
        ("Nameless", "must have info, a rolewise.tasks.MetricInfo whose key is a word"),
        ("alone", "must take outputs and a batch, and settings by keyword alone"),
        ("OWN", "has no 'OWN'"),
        ("accuracy", 'must have a key that no other metric has, got "accuracy" twice'),
        ("scalar", r"must return a value for each of 60 examples, \[B\], got \[\]"),
        ("raising", r"raised KeyError: 'nothing' \(own_numbers.py, line \d+\); mend it there"),
    ],
)
def test_what_is_no_metric_is_refused(own: str, name: str, message: str):
    with pytest.raises(InputError, match=message) as caught:
        metric, (logits, labels) = with_metrics(Classification(), [f"{own}:{name}"]).metric(), examples()
        metric.add(Outputs({"logits": logits}), Batch(logits, labels))
    assert isinstance(caught.value, ForeignError) == (name == "raising")


@pytest.mark.parametrize(
    ("task", "entries", "primary", "path", "message"),
    [
        (Classification(), ["f1_makro"], None, ["metrics", 0], 'did you mean "f1_macro"'),
        (Regression(), ["f1_macro"], None, ["metrics", 0], "must be a metric of the task regression"),
        (MultiLabel(), ["loss", "f1_micro", "loss"], None, ["metrics", 2], "must not be listed twice"),
        (MultiLabel(), ["accuracy"], None, ["metrics", 0], "known: exact_match, f1_macro"),
        (Classification(), [], "f1_macro", ["primary"], "must be one of the metrics"),
        (
            Classification(),
            [{"name": "top_k_accuracy", "k": 0}],
            None,
            ["metrics", 0, "k"],
            "must be at least 1, got 0",
        ),
        (Classification(), [{"name": "loss", "k": 1}], None, ["metrics", 0, "k"], "it has none"),
        (Classification(), [3], None, ["metrics", 0], "must be the name of a metric"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(task: Task, entries: list, primary: str, path: list, message: str):
    with pytest.raises(InputError) as caught:
        with_metrics(task, entries, primary)
    assert list(caught.value.path) == path and message in caught.value.rule


def test_what_a_task_has_already_is_its_own():
    assert [info.key for info in with_metrics(Regression(), ["r2"]).metrics] == ["r2", "rmse", "mae"]
    assert with_metrics(MultiLabel(), ["f1_macro"]).metrics[0].title == "mean F1 of the labels"
    assert "f1_macro" in METRICS and Classification.metrics == CLASS_METRICS
