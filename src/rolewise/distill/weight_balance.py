"""Weights that cancel: a loss that takes that of the labels away, a bound of none, and parts that weigh nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.distill.method import Info, Method
from rolewise.errors import InputError


def label_weight_fault(methods: Sequence[Method], label_weight: float) -> str | None:
    """Returns the rule that a weight of the labels breaks beside methods that take it away; None where it keeps it.

    Args:
        methods: those of one loss, with the weights that they reach over training.
        label_weight: weight of the labels' own loss.
    """
    taken: Counter[str | None] = Counter()
    names: dict[str | None, str] = {}
    for method in methods:
        if method.info.subtracts_labels:
            taken[method.student] += max(method.weight.start, method.weight.end)  # type: ignore[assignment]
            names[method.student] = method.name
    for student, weight in taken.items():
        if weight > label_weight:
            name = names[student]
            return (
                f'must be at least {weight:g} beside "{name}", which takes up to that weight of the labels\' own loss '
                f'away and would train away from them, got {label_weight:g}; write 1, or lower the weight of "{name}"'
            )
    return None


def check_label_weight(methods: Sequence[Method], label_weight: float) -> None:
    """Raises InputError where methods would take more than the labels weigh (see `label_weight_fault`)."""
    if (rule := label_weight_fault(methods, label_weight)) is not None:
        raise InputError.at(("label_weight",), rule)


def unbounded_rule(setting: str = "distill_gradient") -> str:
    """Returns the rule for the labels' weight where their gradient is the bound, and they weigh 0.

    Args:
        setting: the one that bounds, as its reader knows it.
    """
    return (
        f'must be positive where {setting} is "limited", as it bounds by the gradient of the labels, got 0; raise it '
        'or set distill_gradient to "sum"'
    )


def parts_fault(info: Info, settings: Mapping[str, Any], owner: str) -> InputError | None:
    """Returns the error of a loss whose parts all weigh 0; None where one counts.

    Args:
        info: of the method.
        settings: as they were given; what is left out has its default.
        owner: the method's name in the message.
    """
    values = {name: settings.get(name, info.settings[name]) for name in info.parts}
    if not values or any(not isinstance(value, (int, float)) or value for value in values.values()):
        return None
    *others, last = info.parts
    listed = f"{', '.join(others)} and {last} are all" if others else f"{last} is"
    rule = f"must not be 0 where {listed} 0, as the loss is constant then, got 0; raise one, or leave {info.name} out"
    return InputError.at((next((name for name in info.parts if name in settings), info.parts[0]),), rule, owner=owner)
