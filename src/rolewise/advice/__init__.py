"""Advice on how to distil, from what is cheap to measure."""

from rolewise.advice.case import Case, Effort, Work
from rolewise.advice.case_advice import advise, advise_case
from rolewise.advice.result import Advice, AdviceCost
from rolewise.advice.rules import Choice

__all__ = ["Advice", "AdviceCost", "Case", "Choice", "Effort", "Work", "advise", "advise_case"]
