"""Metrics of segmentation: intersection over union of the classes, accuracy of pixels, cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import IGNORED, Batch, Outputs, at_least_float32
from rolewise.metric_info import CROSS_ENTROPY, MetricInfo
from rolewise.tasks.pixel_logits import counted_labels, resized

SEGMENTATION_METRICS = (
    MetricInfo("mean_iou", "mean IoU of the classes", "fraction"),
    MetricInfo("pixel_accuracy", "pixel accuracy", "fraction"),
    MetricInfo("class_accuracy", "mean pixel accuracy of the classes", "fraction"),
    CROSS_ENTROPY,
)


class SegmentationMetric:
    r"""The numbers of segmentation, from the counts of each image's pixels.

    .. math:: \mathrm{IoU}_k = \frac{\sum_b w_b \, |P_{bk} \cap Y_{bk}|}{\sum_b w_b \, |P_{bk} \cup Y_{bk}|}

    of the pixels P that are predicted as class k and the pixels Y that are of it, over all images: not the mean of
    each image's IoU. Pixels that are ignored count in neither. Logits are brought to the masks' resolution first.

    Args:
        ignore: the label of pixels that do not count; None where all count.
    """

    def __init__(self, ignore: int | None = IGNORED) -> None:
        self._ignore = ignore
        self._hits: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._there: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._confusion = torch.zeros(0, 0, dtype=torch.int64)

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with masks [B, H, W]."""
        labels, counts = counted_labels(batch.targets, self._ignore)
        logits = resized(at_least_float32(outputs.logits.detach()), labels.shape[-2:])
        num, classes = logits.shape[:2]
        pairs = labels * classes + logits.argmax(1)
        image = torch.arange(num, device=labels.device).view(-1, 1, 1) * classes**2
        table = torch.bincount((pairs + image)[counts], minlength=num * classes**2).view(num, classes, classes).cpu()
        self._hits.append(table.diagonal(dim1=1, dim2=2))
        self._there.append(table.sum(2))
        self._predicted.append(table.sum(1))
        self._confusion = table.sum(0) + (self._confusion if len(self._confusion) else 0)
        each = functional.cross_entropy(logits.double(), labels, reduction="none")
        total = counts.sum((1, 2))
        self._losses.append((torch.where(counts, each, 0.0).sum((1, 2)) / total.clamp(min=1)).cpu())

    @property
    def confusion(self) -> Tensor:
        """The pixels of each class, rows, by the predicted class, columns: int64 [K, K]."""
        return self._confusion

    def by_class(self, weights: Tensor | None = None) -> Tensor:
        """Returns the IoU of each class, double [K]; NaN for a class that is neither there nor predicted.

        Args:
            weights: [N] of the images, at least 0; None for 1 each.
        """
        hits, there, predicted = self._sums(weights)
        return hits / (there + predicted - hits)

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns all numbers (see `rolewise.tasks.protocol.Metric`).

        Classes that are neither there nor predicted have no IoU, and those that are not there no accuracy: both are
        left out of the means, which are NaN where nothing is left.
        """
        hits, there, predicted = self._sums(weights)
        losses = torch.cat(self._losses)
        share = torch.ones_like(losses) if weights is None else weights.double()
        counted = (torch.cat(self._there).sum(1) > 0) * share
        return {
            "mean_iou": float((hits / (there + predicted - hits)).nanmean()),
            "pixel_accuracy": float(hits.sum() / there.sum()),
            "class_accuracy": float((hits / there).nanmean()),
            "loss": float(counted @ losses / counted.sum()),
        }

    def per_example(self) -> None:
        """Returns None: the IoU of a class is one ratio over all images, and no mean over them."""
        return None

    def _sums(self, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the weighted pixels of each class, double [K]: predicted rightly, there, and predicted."""
        parts = [torch.cat(found).double() for found in (self._hits, self._there, self._predicted)]
        share = torch.ones(len(parts[0]), dtype=torch.double) if weights is None else weights.double()
        hits, there, predicted = (share @ part for part in parts)
        return hits, there, predicted
