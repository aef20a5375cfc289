"""Advice on how to distil, from what is cheap to measure."""

from rolewise.experiment.advice.advising import advise, advise_case
from rolewise.experiment.advice.case import Case, Effort, Work
from rolewise.experiment.advice.result import Advice, Cost
from rolewise.experiment.advice.rules import Choice

__all__ = ["Advice", "Case", "Choice", "Cost", "Effort", "Work", "advise", "advise_case"]
