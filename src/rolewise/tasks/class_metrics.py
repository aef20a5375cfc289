"""Metrics of classification beside accuracy and cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.metric_info import MetricInfo
from rolewise.tasks.label_metrics import mean_f1
from rolewise.tasks.metric_registry import register

_CLASSES = ("classification",)


class ClassAnswers:
    """The classes that a network answers with, their probabilities, and the right ones."""

    tasks = _CLASSES

    def __init__(self) -> None:
        self._answers: list[Tensor] = []
        self._confidences: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._classes = 0

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with labels int64 [B]."""
        confidences, answers = outputs.logits.detach().double().softmax(1).max(1)
        self._answers.append(answers.cpu())
        self._confidences.append(confidences.cpu())
        self._labels.append(batch.targets.cpu())
        self._classes = outputs.logits.shape[1]

    def per_example(self) -> None:
        """Returns None: the number is no mean over examples."""
        return None

    def _all(self, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns answers and labels, one-hot double [N, K], and weights [N, 1]."""
        answers, labels = (torch.cat(parts) for parts in (self._answers, self._labels))
        answered, right = (torch.eye(self._classes, dtype=torch.double)[one] for one in (answers, labels))
        weights = torch.ones(len(labels)) if weights is None else weights
        return answered, right, weights.double()[:, None]


@register("top_k_accuracy")
class TopKAccuracy:
    """The fraction of examples whose class is among the K classes of the largest logits.

    Args:
        k: K, at least 1 and at most the number of classes.

    Raises:
        InputError: k is below 1, or there are fewer classes.
    """

    tasks = _CLASSES

    def __init__(self, *, k: int = 5) -> None:
        if k < 1:
            raise InputError.at(("k",), f"must be at least 1, got {k}", owner="top_k_accuracy")
        self.info = MetricInfo(f"top_{k}_accuracy", f"top-{k} accuracy", "fraction")
        self._k = k
        self._hits: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with labels int64 [B]."""
        logits = outputs.logits.detach()
        if self._k > logits.shape[1]:
            rule = f"must be at most the number of classes, {logits.shape[1]}, got {self._k}; lower it"
            raise InputError.at(("k",), rule, owner="top_k_accuracy")
        self._hits.append((logits.topk(self._k, 1).indices == batch.targets[:, None]).any(1).cpu())

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a fraction in [0, 1]."""
        hits = torch.cat(self._hits).double()
        share = torch.full_like(hits, 1 / len(hits)) if weights is None else weights.double() / weights.double().sum()
        return {self.info.key: float(share @ hits)}

    def per_example(self) -> Tensor:
        """Returns whether each example is a hit, [N] of 0 and 1."""
        return torch.cat(self._hits).double()


@register("balanced_accuracy")
class BalancedAccuracy(ClassAnswers):
    """The mean over classes of the accuracy on each class's examples; classes without examples are left out."""

    info = MetricInfo("balanced_accuracy", "balanced accuracy", "fraction")

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a fraction in [0, 1]."""
        answered, right, weights = self._all(weights)
        each = (weights * answered * right).sum(0) / (weights * right).sum(0)
        return {self.info.key: float(each.nanmean())}


@register("f1_macro")
class MacroF1(ClassAnswers):
    """The mean over classes of F1; classes that are neither there nor predicted are left out."""

    info = MetricInfo("f1_macro", "mean F1 of the classes", "fraction")

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a fraction in [0, 1]."""
        answered, right, weights = self._all(weights)
        hits = (weights * answered * right).sum(0)
        return {self.info.key: mean_f1(hits, (weights * answered).sum(0) - hits, (weights * right).sum(0) - hits)}


@register("expected_calibration_error")
class CalibrationError(ClassAnswers):
    """The mean gap between confidence and accuracy over bins of confidence of equal width.

    Args:
        bins: number of bins, from 1 to 10,000.

    Raises:
        InputError: bins is out of range.
    """

    info = MetricInfo("expected_calibration_error", "expected calibration error", higher_is_better=False)

    def __init__(self, *, bins: int = 15) -> None:
        if not 1 <= bins <= 10_000:
            raise InputError.at(("bins",), f"must be from 1 to 10,000, got {bins}", owner="expected_calibration_error")
        super().__init__()
        self._edges = torch.linspace(0, 1, bins + 1, dtype=torch.double)[1:-1]

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a number in [0, 1]; a bin is open below and closed above."""
        confidences = torch.cat(self._confidences)
        hits = (torch.cat(self._answers) == torch.cat(self._labels)).double()
        weights = torch.ones_like(hits) if weights is None else weights.double()
        gaps = torch.bincount(
            torch.searchsorted(self._edges, confidences), weights * (hits - confidences), len(self._edges) + 1
        )
        return {self.info.key: float(gaps.abs().sum() / weights.sum())}
