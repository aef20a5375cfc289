"""Checks of searched weights against one another: at the ends of their ranges a loss has to keep what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import ExperimentConfig
from rolewise.distill.method import Method
from rolewise.distill.weight_balance import label_weight_fault
from rolewise.errors import InputError
from rolewise.experiment.builders import configured_methods
from rolewise.moving_weight import Weight

_LABELS = ("label_weight", "distill.label_weight")


def balance_faults(config: ExperimentConfig, searched: Mapping[str, str]) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every range of weights of which an end would be refused during the search.

    Args:
        config: the experiment.
        searched: the numbers that are searched: names, with a method's name in the place of its number, to the names
            that the config has.
    """
    labels = next((searched[name] for name in _LABELS if name in searched), None)
    lowest = config.distill.label_weight if labels is None else config.search.scalars[labels].low
    seen: set[Steps] = set()
    for at, student in enumerate(config.students):
        for path, rule in _of_student(config, student, searched, labels, lowest):
            if path not in seen:
                seen.add(path)
                yield path, rule
        if labels is not None and lowest == 0 and student.train.distill_gradient == "limited":
            rule = f'must be above 0 where students[{at}].train.distill_gradient is "limited", got 0'
            yield ("search", "scalars", labels, "low"), f"{rule}; raise it, or write distill_gradient: sum"


def _of_student(
    config: ExperimentConfig, student: StudentSection, searched: Mapping[str, str], labels: str | None, lowest: float
) -> Iterable[tuple[Steps, str]]:
    """Yields weights of the labels below what a student's methods take of it."""
    try:
        phases, methods = configured_methods(config, student)
    except InputError:  # which has a fault of its own
        return
    if phases:  # beside which nothing of the loss is searched
        return
    weights = {method.name: searched.get(f"distill.methods.{method.name}.weight") for method in methods}
    highest = [_at_most(method, config, weights[method.name]) for method in methods]
    if (rule := label_weight_fault(highest, lowest)) is None:
        return
    if labels is not None:
        yield ("search", "scalars", labels, "low"), rule
        return
    for method in methods:
        given = weights[method.name]
        if given is not None and method.info.subtracts_labels:
            rule = f'must be at most distill.label_weight, {lowest:g}, as "{method.name}" takes up to its weight of the'
            high = config.search.scalars[given].high
            yield ("search", "scalars", given, "high"), f"{rule} labels' own loss away, got {high:g}; lower it"


def _at_most(method: Method, config: ExperimentConfig, searched: str | None) -> Method:
    """Returns a method with the highest weight that a search gives it."""
    if searched is None:
        return method
    high = config.search.scalars[searched].high
    return replace(method, weight=Weight(high, high))
