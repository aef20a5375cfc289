"""Metrics of predicted numbers: their distance from the targets."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.metric_info import MetricInfo

RMSE = MetricInfo("rmse", "root mean squared error", higher_is_better=False)
MAE = MetricInfo("mae", "mean absolute error", higher_is_better=False)
R2 = MetricInfo("r2", "variance explained (R²)")


class RegressionMetric:
    """Root mean squared error, mean absolute error and R², each over all D numbers.

    Args:
        first: the metric that stands for the task.
    """

    def __init__(self, first: MetricInfo = RMSE) -> None:
        self._first = first
        self._errors: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with targets [B] or [B, D]."""
        targets = as_columns(batch.targets).detach().double().cpu()
        self._errors.append(outputs.values["predictions"].detach().double().cpu() - targets)
        self._targets.append(targets)

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns ``rmse`` and ``mae`` in the targets' unit, and ``r2``, the mean over the D numbers of 1 - SSE / SST.

        A number that is the same in all examples has no R² and is left out of the mean: NaN where none is left.
        """
        errors, targets = torch.cat(self._errors), torch.cat(self._targets)
        weights = torch.ones(len(errors), dtype=torch.double) if weights is None else weights.double()
        share = weights / weights.sum()
        squared, spread = share @ errors.square(), share @ (targets - share @ targets).square()
        explained = torch.where(vary(targets, share), 1 - squared / spread, torch.nan)
        values = {
            "rmse": float(squared.mean().sqrt()),
            "mae": float((share @ errors.abs()).mean()),
            "r2": float(explained.nanmean()),
        }
        return {self._first.key: values[self._first.key], **values}

    def per_example(self) -> Tensor | None:
        """Returns each example's mean absolute error [N] where that comes first; a root of a mean is no mean."""
        return torch.cat(self._errors).abs().mean(1) if self._first == MAE else None


def vary(values: Tensor, share: Tensor) -> Tensor:
    """Returns a mask, bool [D], of the numbers that differ between examples of weight.

    The deviation of equal numbers is rarely 0 itself.

    Args:
        values: [N, D].
        share: [N], at least 0.
    """
    counted = values[share > 0]
    return (counted != counted[:1]).any(0)


def as_columns(values: Tensor) -> Tensor:
    """Returns numbers [B] as [B, 1], and [B, D] as they are."""
    return values[:, None] if values.ndim == 1 else values
