"""Tasks: what is predicted, one file each."""

from rolewise.metric_info import MetricInfo
from rolewise.tasks.classification import Classification
from rolewise.tasks.multi_label import MultiLabel
from rolewise.tasks.protocol import Metric, Reduction, RowKind, Task
from rolewise.tasks.regression import Regression
from rolewise.tasks.task_registry import TASKS, build_task, task_settings

__all__ = [
    "TASKS",
    "Classification",
    "Metric",
    "MetricInfo",
    "MultiLabel",
    "Reduction",
    "Regression",
    "RowKind",
    "Task",
    "build_task",
    "task_settings",
]
