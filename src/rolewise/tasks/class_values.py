"""A task's number class by class, where its metric has it: the IoU of each class of masks, the AP of each of boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.metric_info import MetricInfo
from rolewise.tasks.detection_metrics import DetectionMetric
from rolewise.tasks.measured_task import MetricSet
from rolewise.tasks.protocol import Metric, Task
from rolewise.tasks.segmentation_metrics import SegmentationMetric

#: The number of one class, by the kind of the metric that has it.
CLASS_INFOS = {
    SegmentationMetric: MetricInfo("iou", "IoU", "fraction"),
    DetectionMetric: MetricInfo("ap", "AP", "fraction"),
}


@dataclass(frozen=True)
class ClassValues:
    """A number of each class.

    Args:
        info: of the number.
        values: double [K]; not a number for a class that is not there.
        confusion: pixels of each class, rows, by the predicted class, columns, int64 [K, K]; None of boxes.
    """

    info: MetricInfo
    values: Tensor
    confusion: Tensor | None


def class_info(task: Task) -> MetricInfo | None:
    """Returns the number that a task has of each class, or None."""
    part = _part(task.metric())
    return None if part is None else CLASS_INFOS[type(part)]


def class_values(metric: Metric, classes: int) -> ClassValues | None:
    """Returns the number of each class of what was measured, or None where the task has none.

    Args:
        metric: with at least one example.
        classes: K.
    """
    part = _part(metric)
    if part is None:
        return None
    if isinstance(part, SegmentationMetric):
        return ClassValues(CLASS_INFOS[SegmentationMetric], part.by_class(), part.confusion)
    each = part.by_class()
    values = torch.full((max([classes, *(label + 1 for label in each)]),), torch.nan, dtype=torch.double)
    for label, value in each.items():
        values[label] = value
    return ClassValues(CLASS_INFOS[DetectionMetric], values, None)


def _part(metric: Metric) -> SegmentationMetric | DetectionMetric | None:
    parts = metric.parts if isinstance(metric, MetricSet) else (metric,)
    return next((part for part in parts if isinstance(part, (SegmentationMetric, DetectionMetric))), None)
