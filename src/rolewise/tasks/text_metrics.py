"""Metrics that benchmarks of texts are scored by: F1 over all classes, Matthews' and Pearson's correlations."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.metric_info import MetricInfo
from rolewise.tasks.class_metrics import ClassAnswers
from rolewise.tasks.metric_registry import register
from rolewise.tasks.number_metrics import as_columns, vary


@register("f1_micro")
class MicroF1(ClassAnswers):
    """F1 of all classes counted together; where each example has one class it equals accuracy."""

    info = MetricInfo("f1_micro", "F1 over all classes", "fraction")

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a fraction in [0, 1]."""
        answered, right, weights = self._all(weights)
        hits = (weights * answered * right).sum()
        return {self.info.key: float(2 * hits / ((weights * answered).sum() + (weights * right).sum()))}


@register("matthews")
class Matthews(ClassAnswers):
    r"""Matthews' correlation of answers and classes, of any number of classes.

    With two classes it is that of CoLA; 0 where all answers, or all classes, are one.

    Source: Gorodkin (2004), https://doi.org/10.1016/j.compbiolchem.2004.09.006.
    """

    info = MetricInfo("matthews", "Matthews' correlation")

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a number in [-1, 1]."""
        answered, right, weights = self._all(weights)
        total = weights.sum()
        hits, guessed, there = (weights * answered * right).sum(), (weights * answered).sum(0), (weights * right).sum(0)
        spread = (total**2 - guessed @ guessed) * (total**2 - there @ there)
        value = (hits * total - guessed @ there) / spread.sqrt() if spread > 0 else torch.zeros(())
        return {self.info.key: float(value)}


@register("pearson")
class Pearson:
    """Pearson's correlation of predictions and targets; of several numbers the mean over those that vary.

    It is that of STS-B. Where nothing varies it is NaN.
    """

    tasks = ("regression",)
    info = MetricInfo("pearson", "Pearson's correlation")

    def __init__(self) -> None:
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with targets [B] or [B, D]."""
        self._predictions.append(as_columns(outputs.values["predictions"].detach().double().cpu()))
        self._targets.append(as_columns(batch.targets.detach().double().cpu()))

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns a number in [-1, 1]."""
        parts = [torch.cat(some) for some in (self._predictions, self._targets)]
        share = torch.ones(len(parts[0]), dtype=torch.double) if weights is None else weights.double()
        share = share / share.sum()
        first, second = (part - share @ part for part in parts)
        spread = ((share @ first.square()) * (share @ second.square())).sqrt()
        varied = vary(parts[0], share) & vary(parts[1], share) & (spread > 0)
        return {self.info.key: float(torch.where(varied, share @ (first * second) / spread, torch.nan).nanmean())}

    def per_example(self) -> None:
        """Returns None: a correlation is no mean over examples."""
        return None
