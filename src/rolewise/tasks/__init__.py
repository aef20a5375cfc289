"""Tasks: what is predicted, one file each."""

from rolewise.metric_info import MetricInfo
from rolewise.tasks.class_metrics import BalancedAccuracy, CalibrationError, MacroF1, TopKAccuracy
from rolewise.tasks.class_values import ClassValues, class_info, class_values
from rolewise.tasks.classification import Classification
from rolewise.tasks.detection import Detection
from rolewise.tasks.detection_metrics import DetectionMetric
from rolewise.tasks.measured_task import MeasuredTask, MetricSet, metric_entry, reward_of, with_metrics
from rolewise.tasks.metric_registry import METRICS, metric, metric_faults, metric_settings
from rolewise.tasks.multi_label import MultiLabel
from rolewise.tasks.object_metrics import ObjectMetric
from rolewise.tasks.protocol import Metric, Reduction, RowKind, Task
from rolewise.tasks.regression import Regression
from rolewise.tasks.segmentation import Segmentation
from rolewise.tasks.segmentation_metrics import SegmentationMetric
from rolewise.tasks.tagging import Tagging
from rolewise.tasks.task_registry import TASKS, build_task, task_settings
from rolewise.tasks.text_metrics import Matthews, MicroF1, Pearson

__all__ = [
    "METRICS",
    "TASKS",
    "BalancedAccuracy",
    "CalibrationError",
    "ClassValues",
    "Classification",
    "Detection",
    "DetectionMetric",
    "MacroF1",
    "Matthews",
    "MeasuredTask",
    "Metric",
    "MetricInfo",
    "MetricSet",
    "MicroF1",
    "MultiLabel",
    "ObjectMetric",
    "Pearson",
    "Reduction",
    "Regression",
    "RowKind",
    "Segmentation",
    "SegmentationMetric",
    "Tagging",
    "Task",
    "TopKAccuracy",
    "build_task",
    "class_info",
    "class_values",
    "metric",
    "metric_entry",
    "metric_faults",
    "metric_settings",
    "reward_of",
    "task_settings",
    "with_metrics",
]
