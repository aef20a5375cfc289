"""Statistics: estimates with intervals, comparisons of arms, answers of runs and studies, effects, regret."""

from rolewise.statistics.answers import StudentAnswer, run_answers
from rolewise.statistics.comparison import ArmRow, caution, compare, verdict
from rolewise.statistics.estimates import Estimate, estimate, holm, paired
from rolewise.statistics.float_comparison import FloatComparison, compare_to_float
from rolewise.statistics.regret import Regret, regret
from rolewise.statistics.study_answers import StudyAnswers, study_answers

__all__ = [
    "ArmRow",
    "Estimate",
    "FloatComparison",
    "Regret",
    "StudentAnswer",
    "StudyAnswers",
    "caution",
    "compare",
    "compare_to_float",
    "estimate",
    "holm",
    "paired",
    "regret",
    "run_answers",
    "study_answers",
    "verdict",
]
