"""Statistics: estimates with intervals, comparisons of arms, effects, answers to a study's questions, regret."""

from rolewise.statistics.comparison import ArmRow, caution, compare, verdict
from rolewise.statistics.estimates import Estimate, estimate, holm, paired
from rolewise.statistics.float_comparison import TwinRow, against_twins
from rolewise.statistics.regret import Regret, regret

__all__ = [
    "ArmRow",
    "Estimate",
    "Regret",
    "TwinRow",
    "against_twins",
    "caution",
    "compare",
    "estimate",
    "holm",
    "paired",
    "regret",
    "verdict",
]
