"""Tasks: what is predicted, one file each."""

from rolewise.tasks.classification import Classification
from rolewise.tasks.protocol import Metric, MetricInfo, Reduction, Task

__all__ = ["Classification", "Metric", "MetricInfo", "Reduction", "Task"]
