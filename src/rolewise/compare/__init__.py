"""Comparisons of methods: one command's study, its table of accuracies and costs, and published figures beside it."""

from rolewise.compare.comparison_result import Comparison, compare_methods
from rolewise.compare.recipes import Recipe, known_recipes, recipe_named

__all__ = ["Comparison", "Recipe", "compare_methods", "known_recipes", "recipe_named"]
