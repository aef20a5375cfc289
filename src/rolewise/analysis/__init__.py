"""Analysis: reads results, says what they support."""

from rolewise.analysis.comparison import ArmRow, compare, verdict
from rolewise.analysis.statistics import Estimate, estimate, holm, paired

__all__ = ["ArmRow", "Estimate", "compare", "estimate", "holm", "paired", "verdict"]
