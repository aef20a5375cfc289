"""Metrics of multi-label tasks: average precision, F1, exact matches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Outputs
from rolewise.metric_info import MetricInfo

MULTI_LABEL_METRICS = (
    MetricInfo("mean_average_precision", "mean average precision", "fraction"),
    MetricInfo("f1_micro", "F1 over all labels", "fraction"),
    MetricInfo("f1_macro", "mean F1 of the labels", "fraction"),
    MetricInfo("exact_match", "exact matches", "fraction"),
    MetricInfo("label_accuracy", "label accuracy", "fraction"),
    MetricInfo("loss", "binary cross-entropy", "nats", higher_is_better=False),
)


class MultiLabelMetric:
    """The numbers of a multi-label task, from each example's probabilities and labels.

    Label accuracy is 1 minus the Hamming loss. Targets from 0.5 count as labels that are there.

    Args:
        threshold: the probability from which a label counts as found.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = threshold
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with targets [B, K]."""
        self._logits.append(outputs.logits.detach().double().cpu())
        self._targets.append(batch.targets.detach().double().cpu())

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns all numbers (see `rolewise.tasks.protocol.Metric`).

        Labels without an example of weight have no average precision, and those that are neither there nor found no
        F1: both are left out of the means, which are NaN where nothing is left.
        """
        logits, targets = torch.cat(self._logits), torch.cat(self._targets)
        there, found = targets >= 0.5, logits.sigmoid() >= self._threshold
        weights = torch.ones(len(logits), dtype=torch.double) if weights is None else weights.double()
        share, column = weights / weights.sum(), weights[:, None]
        hits, false, missed = ((column * one).sum(0) for one in (there & found, ~there & found, there & ~found))
        loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        precisions = torch.stack(
            [average_precision(logits[:, k], there[:, k], weights) for k in range(logits.shape[1])]
        )
        return {
            "mean_average_precision": float(precisions.nanmean()),
            "f1_micro": float(_f1(hits.sum(), false.sum(), missed.sum())),
            "f1_macro": mean_f1(hits, false, missed),
            "exact_match": float(share @ (there == found).all(1).double()),
            "label_accuracy": float(share @ (there == found).double().mean(1)),
            "loss": float(share @ loss),
        }

    def per_example(self) -> None:
        """Returns None: average precision ranks examples against one another, and is no mean over them."""
        return None


def average_precision(scores: Tensor, there: Tensor, weights: Tensor) -> Tensor:
    r"""Returns the area under the steps of precision over recall, NaN where no example of weight has the label.

    .. math:: \sum_n (R_n - R_{n-1}) \, P_n

    with precision P_n and recall R_n of the examples whose score is at least the n-th largest distinct one.

    Args:
        scores: double [N].
        there: bool [N], which examples have the label.
        weights: double [N], at least 0.
    """
    scores, order = scores.sort(descending=True, stable=True)
    hits = (weights * there)[order].cumsum(0)
    all_found = weights[order].cumsum(0)
    # Equal scores are found together: a step ends at the last of them.
    ends = torch.cat([scores[1:] != scores[:-1], scores.new_ones(1, dtype=torch.bool)])
    hits, all_found = hits[ends], all_found[ends]
    precision = hits / torch.where(all_found > 0, all_found, 1.0)
    area: Tensor = (hits.diff(prepend=hits.new_zeros(1)) * precision).sum() / hits[-1]
    return area


def mean_f1(hits: Tensor, false: Tensor, missed: Tensor) -> float:
    """Returns the mean of F1 over classes or labels; those that are neither there nor found are left out.

    Args:
        hits: [K], weights of the examples in which each is found rightly.
        false: [K], of those in which it is found wrongly.
        missed: [K], of those in which it is not found.
    """
    return float(_f1(hits, false, missed).nanmean())


def _f1(hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
    return 2 * hits / (2 * hits + false + missed)
