"""Every metric of every task to 1e-9 of another library's, on random and on degenerate examples.

Average precision of boxes is in test_detection_metrics.py, that of objects in test_object_metrics.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import log_expit, log_softmax
from sklearn import metrics as sk
from torch import Tensor

from rolewise.batch import IGNORED, Batch, Outputs
from rolewise.tasks import Classification, MultiLabel, Regression, Segmentation, Tagging, with_metrics
from rolewise.tasks.protocol import Task

Values = dict[str, float]
N, K = 40, 4
TAGS = ("O", "B-a", "I-a", "B-b", "I-b")
EVERY_CLASS_METRIC = [
    *("balanced_accuracy", "f1_macro", "f1_micro", "matthews", "expected_calibration_error"),
    {"name": "top_k_accuracy", "k": 2},
]


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Where nothing is to be counted scikit-learn and scipy warn, and that is the subject here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measured(task: Task, outputs: Outputs, targets: Tensor, parts: int = 2) -> Values:
    """The numbers, of examples that come in several batches."""
    metric = task.metric()
    for rows in torch.arange(len(targets)).chunk(parts):
        part = Outputs({name: value[rows] for name, value in outputs.values.items()})
        metric.add(part, Batch(torch.zeros(len(rows), 1, *targets.shape[1:]), targets[rows]))
    return metric.compute()


def same(found: Values, wanted: Values) -> None:
    assert set(found) == set(wanted)
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], rel=0, abs=1e-9, nan_ok=True), name


def random_logits(seed: int, *shape: int) -> Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def random_classes(seed: int, *shape: int, classes: int = K) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed + 100))


def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """The mean by scipy; scikit-learn's cuts probabilities off."""
    return float(-log_softmax(logits.numpy(), 1)[np.arange(len(labels)), labels.numpy()].mean())


def classification(logits: Tensor, labels: Tensor) -> Values:
    z, y, answers = logits.numpy(), labels.numpy(), logits.argmax(1).numpy()
    every = list(range(K))
    confidence, hits = logits.softmax(1).max(1).values.numpy(), (answers == y).astype(float)
    bins = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1], right=True)
    gap = sum(abs((hits - confidence)[bins == one].sum()) for one in range(15)) / len(y)
    return {
        "accuracy": sk.accuracy_score(y, answers),
        "loss": cross_entropy(logits, labels),
        "balanced_accuracy": sk.recall_score(y, answers, labels=np.unique(y), average="macro"),
        "f1_macro": sk.f1_score(y, answers, average="macro"),
        "f1_micro": sk.f1_score(y, answers, average="micro"),
        "matthews": sk.matthews_corrcoef(y, answers),
        "expected_calibration_error": float(gap),
        "top_2_accuracy": sk.top_k_accuracy_score(y, z, k=2, labels=every),
    }


def sure(answers: Tensor) -> Tensor:
    """Logits that answer with these classes, no two of an example alike."""
    return 5.0 * torch.eye(K).double()[answers] - torch.arange(K) / 10


CLASSES: dict[str, tuple[Tensor, Tensor]] = {
    "random": (random_logits(0, N, K), random_classes(0, N)),
    "another": (random_logits(1, N, K), random_classes(1, N)),
    "one example, right": (sure(torch.tensor([0])), torch.tensor([0])),
    "one example, wrong": (sure(torch.tensor([0])), torch.tensor([2])),
    "one class alone": (random_logits(2, N, K), torch.full((N,), 3)),
    "one answer to all": (random_logits(3, N, K) + torch.tensor([99.0, 0, 0, 0]).double(), random_classes(3, N)),
    "all right": (sure(random_classes(4, N)), random_classes(4, N)),
    "all wrong": (sure((random_classes(5, N) + 1) % K), random_classes(5, N)),
}


@pytest.mark.parametrize("case", CLASSES)
def test_metrics_of_classes_are_those_of_scikit_learn(case: str) -> None:
    logits, labels = CLASSES[case]
    found = measured(with_metrics(Classification(), EVERY_CLASS_METRIC), Outputs({"logits": logits}), labels)
    same(found, classification(logits, labels))


def several_labels(logits: Tensor, labels: Tensor) -> Values:
    y, probability = labels.numpy(), logits.sigmoid().numpy()
    found, there = (probability >= 0.4).astype(int), y.any(0)
    each = [sk.average_precision_score(y[:, k], logits[:, k].numpy()) for k in np.flatnonzero(there)]
    losses = -log_expit(np.where(y == 1, logits.numpy(), -logits.numpy()))
    return {
        "mean_average_precision": float(np.mean(each)),
        "f1_micro": sk.f1_score(y, found, average="micro", zero_division=np.nan),
        "f1_macro": sk.f1_score(y, found, average="macro", zero_division=np.nan),
        "exact_match": sk.accuracy_score(y, found),
        "label_accuracy": 1 - sk.hamming_loss(y, found),
        "loss": float(losses.mean()),
    }


def some_labels(seed: int, count: int = N) -> Tensor:
    return (random_classes(seed, count, K, classes=3) == 0).long()


LABELS: dict[str, tuple[Tensor, Tensor]] = {
    "random": (random_logits(0, N, K), some_labels(0)),
    "with ties": (random_logits(1, N, K).round(), some_labels(1)),
    "one example": (random_logits(2, 1, K), torch.tensor([[1, 0, 0, 1]])),
    "a label that nobody has": (random_logits(3, N, K), some_labels(3) * torch.tensor([1, 0, 1, 1])),
    "a label that all have": (random_logits(4, N, K), some_labels(4) | torch.tensor([0, 1, 0, 0])),
    "nothing is found": (random_logits(5, N, K) - 99, some_labels(5)),
    "all are found": (random_logits(6, N, K).abs() + 1, some_labels(6)),
    "neither there nor found": (
        random_logits(7, N, K) - torch.tensor([99.0, 0, 0, 0]).double(),
        some_labels(7) * torch.tensor([0, 1, 1, 1]),
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_metrics_of_several_labels_are_those_of_scikit_learn(case: str) -> None:
    logits, labels = LABELS[case]
    same(measured(MultiLabel(threshold=0.4), Outputs({"logits": logits}), labels), several_labels(logits, labels))


def numbers(predictions: Tensor, targets: Tensor) -> Values:
    p, y = predictions.numpy(), targets.numpy()
    vary = [d for d in range(y.shape[1]) if np.ptp(y[:, d]) > 0]
    both = [d for d in vary if np.ptp(p[:, d]) > 0]
    return {
        "rmse": math.sqrt(sk.mean_squared_error(y, p)),
        "mae": sk.mean_absolute_error(y, p),
        "r2": float(np.mean([sk.r2_score(y[:, d], p[:, d]) for d in vary])) if vary else math.nan,
        "pearson": float(np.mean([stats.pearsonr(p[:, d], y[:, d])[0] for d in both])) if both else math.nan,
    }


NUMBERS: dict[str, tuple[Tensor, Tensor]] = {
    "random": (random_logits(0, N, 3), random_logits(1, N, 3)),
    "nearly right, far from 0": (1e4 + random_logits(2, N, 1), 1e4 + random_logits(2, N, 1) * 1.01),
    "one example": (random_logits(3, 1, 2), random_logits(4, 1, 2)),
    "two examples": (random_logits(5, 2, 1), random_logits(6, 2, 1)),
    "a target that does not vary": (random_logits(7, N, 2), random_logits(8, N, 2) * torch.tensor([0.0, 1.0]) + 0.1),
    "one prediction for all": (torch.full((N, 2), 0.1).double(), random_logits(9, N, 2)),
    "nothing varies": (torch.full((N, 1), 0.3).double(), torch.full((N, 1), 0.1).double()),
    "exactly right": (random_logits(10, N, 2), random_logits(10, N, 2)),
    "the other way round": (-random_logits(11, N, 2), random_logits(11, N, 2)),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_metrics_of_numbers_are_those_of_scikit_learn_and_scipy(case: str) -> None:
    predictions, targets = NUMBERS[case]
    task = with_metrics(Regression(), ["pearson"])
    same(measured(task, Outputs({"predictions": predictions}), targets), numbers(predictions, targets))


def pixels(logits: Tensor, masks: Tensor) -> Values:
    counts = masks != IGNORED
    y, z = masks[counts].numpy(), logits.movedim(1, -1)[counts]
    if not len(y):
        return dict.fromkeys(("mean_iou", "pixel_accuracy", "class_accuracy", "loss"), math.nan)
    answers = z.argmax(1).numpy()
    losses = [
        cross_entropy(image.movedim(0, -1)[some], mask[some])
        for image, mask, some in zip(logits, masks, counts, strict=True)
        if some.any()
    ]
    return {
        "mean_iou": sk.jaccard_score(y, answers, average="macro"),
        "pixel_accuracy": sk.accuracy_score(y, answers),
        "class_accuracy": sk.recall_score(y, answers, labels=np.unique(y), average="macro"),
        "loss": float(np.mean(losses)),
    }


def void(masks: Tensor, seed: int = 0) -> Tensor:
    return masks.masked_fill(random_classes(seed + 7, *masks.shape, classes=5) == 0, IGNORED)


MASKS: dict[str, tuple[Tensor, Tensor]] = {
    "random": (random_logits(0, 3, K, 5, 6), void(random_classes(0, 3, 5, 6))),
    "one image": (random_logits(1, 1, K, 5, 6), void(random_classes(1, 1, 5, 6))),
    "one pixel": (random_logits(2, 1, K, 1, 1), torch.tensor([[[2]]])),
    "no pixel of a class": (random_logits(3, 3, K, 5, 6), void(random_classes(3, 3, 5, 6, classes=2))),
    "one class alone": (random_logits(4, 3, K, 5, 6), torch.full((3, 5, 6), 1)),
    "a class never predicted": (
        random_logits(5, 3, K, 5, 6) - torch.tensor([0.0, 0, 99, 0]).double().view(K, 1, 1),
        void(random_classes(5, 3, 5, 6)),
    ),
    "an image of which nothing counts": (
        random_logits(6, 3, K, 5, 6),
        torch.cat([random_classes(6, 2, 5, 6), torch.full((1, 5, 6), IGNORED)]),
    ),
    "all is ignored": (random_logits(7, 2, K, 5, 6), torch.full((2, 5, 6), IGNORED)),
}


@pytest.mark.parametrize("case", MASKS)
def test_metrics_of_masks_are_those_of_scikit_learn(case: str) -> None:
    logits, masks = MASKS[case]
    same(measured(Segmentation(), Outputs({"logits": logits}), masks), pixels(logits, masks))


def conll_chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Spans by the two questions of CoNLL's scorer, conlleval: does one end before a tag, and does one begin there."""
    found, begin, (mark, kind) = set(), -1, ("O", "")
    for at, tag in enumerate([*tags, "O"]):
        new, own = tag[0], tag[2:]
        if mark != "O" and (new in "BO" or own != kind):
            found.add((kind, begin, at))
        if new == "B" or (new == "I" and (mark == "O" or own != kind)):
            begin = at
        mark, kind = new, own
    return found


def tagged(logits: Tensor, targets: Tensor) -> Values:
    counts, answers = targets >= 0, logits.argmax(2)
    rows = [
        tuple(conll_chunks([TAGS[tag] for tag in row[some].tolist()]) for row in (answer, right))
        for answer, right, some in zip(answers, targets, counts, strict=True)
    ]
    hits, both = sum(len(one & other) for one, other in rows), sum(len(one) + len(other) for one, other in rows)
    losses = [
        cross_entropy(own[some], right[some])
        for own, right, some in zip(logits, targets, counts, strict=True)
        if some.any()
    ]
    there = bool(counts.any())
    return {
        "span_f1": 2 * hits / both if both else math.nan,
        "token_accuracy": sk.accuracy_score(targets[counts], answers[counts]) if there else math.nan,
        "loss": float(np.mean(losses)) if losses else math.nan,
    }


def untagged(targets: Tensor, lengths: Sequence[int]) -> Tensor:
    return targets.masked_fill(torch.arange(targets.shape[1]) >= torch.tensor(lengths)[:, None], -100)


def drawn_tags(seed: int, *shape: int) -> Tensor:
    return random_classes(seed, *shape, classes=len(TAGS))


ROWS: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "random": lambda: (random_logits(0, 6, 9, 5), untagged(drawn_tags(0, 6, 9), [9, 4, 1, 0, 9, 7])),
    "mostly right": lambda: (
        random_logits(1, 6, 9, 5) + 4 * torch.eye(5).double()[drawn_tags(1, 6, 9)],
        untagged(drawn_tags(1, 6, 9), [9, 9, 5, 3, 9, 2]),
    ),
    "one text": lambda: (random_logits(2, 1, 7, 5), drawn_tags(2, 1, 7)),
    "no span anywhere": lambda: (9.0 * torch.eye(5).double()[torch.zeros(2, 4).long()], torch.zeros(2, 4).long()),
    "spans that are not found": lambda: (9.0 * torch.eye(5).double()[torch.zeros(2, 4).long()], drawn_tags(3, 2, 4)),
    "spans where none are": lambda: (random_logits(4, 2, 4, 5), torch.zeros(2, 4).long()),
    "no token has a tag": lambda: (random_logits(5, 2, 4, 5), torch.full((2, 4), -100)),
}


@pytest.mark.parametrize("case", ROWS)
def test_metrics_of_tags_are_those_of_scikit_learn_and_of_conlls_scorer(case: str) -> None:
    logits, targets = ROWS[case]()
    same(measured(Tagging(tags=TAGS), Outputs({"logits": logits}), targets), tagged(logits, targets))
