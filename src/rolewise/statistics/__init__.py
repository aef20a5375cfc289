"""Statistics: estimates with intervals, comparisons of arms, effects, answers to a study's questions, regret."""

from rolewise.statistics.comparison import ArmRow, caution, compare, verdict
from rolewise.statistics.estimates import Estimate, estimate, holm, paired
from rolewise.statistics.float_comparison import FloatComparison, compare_to_float
from rolewise.statistics.regret import Regret, regret

__all__ = [
    "ArmRow",
    "Estimate",
    "FloatComparison",
    "Regret",
    "caution",
    "compare",
    "compare_to_float",
    "estimate",
    "holm",
    "paired",
    "regret",
    "verdict",
]
