"""Analysis: reads results, says what they support."""

from rolewise.analysis.comparison import ArmRow, compare, verdict
from rolewise.analysis.prediction import Predictions, predict
from rolewise.analysis.statistics import Estimate, estimate, holm, paired
from rolewise.analysis.teacher_deviation import teacher_deviation
from rolewise.analysis.twins import TwinRow, against_twins

__all__ = [
    "ArmRow",
    "Estimate",
    "Predictions",
    "TwinRow",
    "against_twins",
    "compare",
    "estimate",
    "holm",
    "paired",
    "predict",
    "teacher_deviation",
    "verdict",
]
