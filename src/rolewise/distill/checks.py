"""Checks that the methods share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from rolewise.errors import InputError, near
from rolewise.networks import shape_or_type

Limit = Literal["positive", "not negative", "fraction", "temperature", "momentum", "count", "few"]
#: Beyond these, single precision loses what a number stands for, or overflows. At a temperature of 1,000 the divergence
#: of logits is their squared difference already; below 0.001 softmax is the largest logit alone.
BOUNDS: dict[Limit, tuple[float, float]] = {
    "positive": (1e-9, 10**9),
    "not negative": (0, 10**9),
    "fraction": (0, 1),
    "temperature": (1e-3, 1000),
    "momentum": (0, 0.9999),
    "count": (1, 10**6),
    "few": (1, 32),
}
#: Limits of whole numbers.
WHOLE: tuple[Limit, ...] = ("count", "few")


def check_same_shape(student: Tensor, teacher: Tensor, what: str, dimensions: int) -> None:
    """Raises InputError unless both have the same shape of so many dimensions."""
    if student.shape != teacher.shape or student.ndim != dimensions:
        way = ""
        if student.ndim == teacher.ndim == dimensions == 2 and len(student) == len(teacher):
            way = "; give both networks the same classes, or let the teacher return those of the student alone"
        raise InputError(
            f"student and teacher must be {what} of the same shape, got {list(student.shape)} and "
            f"{list(teacher.shape)}{way}"
        )


def check_rows(student: Tensor, teacher: Tensor) -> None:
    """Raises InputError unless both hold the same number of examples."""
    if len(student) != len(teacher):
        raise InputError(f"student and teacher must hold the same examples, got {len(student)} and {len(teacher)}")


def check_feature(path: str, feature: Tensor, logits: object) -> None:
    """Raises InputError unless a tapped feature is of real numbers and has the examples in front.

    Args:
        path: of the tap.
        feature: [B, ...].
        logits: [B, ...] of the same network, or anything else where it has none.
    """
    if not feature.is_floating_point():
        raise InputError(f"tap {path!r} must hold floating point features, got {feature.dtype}; tap a later module")
    if isinstance(logits, Tensor) and feature.shape[:1] != logits.shape[:1]:
        raise InputError(
            f"tap {path!r} must have the {len(logits)} examples of the batch in dimension 0, got "
            f"{list(feature.shape)}; tap a place with the batch first, as batch_first=True gives it"
        )


def check_limit(name: str, value: object, limit: Limit, *, owner: str = "") -> None:
    """Raises InputError unless ``value`` is a number within a limit (see `BOUNDS`).

    Args:
        name: of the setting; dots lead to settings inside others.
        value: the given value.
        limit: ``count`` and ``few`` are whole numbers.
        owner: the method that the setting belongs to.
    """
    low, high = BOUNDS[limit]
    if limit in WHOLE:
        kind, right = "a whole number of at least 1", isinstance(value, int) and not isinstance(value, bool)
        right = right and value >= 1  # type: ignore[operator]
    else:
        kind = "a positive number" if low else "a number of at least 0"
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
        right = right and (value > 0 or (value == 0 and not low))  # type: ignore[operator]
    if right and low <= value <= high:  # type: ignore[operator]
        return
    if right:
        kind = f"at least {low:g}" if value < low else f"at most {high:,}"  # type: ignore[operator]
    raise InputError.at(name.split("."), f"must be {kind}, got {value!r}", owner=owner)


def check_switch(name: str, value: object, *, owner: str = "") -> None:
    """Raises InputError unless ``value`` is true or false: in YAML ``yes`` is text, and would count as true."""
    if not isinstance(value, bool):
        raise InputError.at(name.split("."), f"must be true or false, got {value!r}", owner=owner)


def check_choice(name: str, value: object, choices: Sequence[str], *, owner: str = "") -> None:
    """Raises InputError unless ``value`` is one of some names."""
    if value not in choices:
        hint = near(str(value), choices)
        # The names stand there already.
        hint = hint if "did you mean" in hint else ""
        rule = f"must be one of {', '.join(choices)}, got {value!r}{hint}"
        raise InputError.at(name.split("."), rule, owner=owner)


def check_unreduced(name: str, losses: object, rows: int, student: Tensor) -> None:
    """Raises InputError unless a method returned one loss for each row, with a gradient where the student has one.

    A mean over the batch would be taken twice, and a loss that leads back to nothing would train nothing in silence.

    Args:
        name: the method's.
        losses: its result.
        rows: R.
        student: the student's values that it read.
    """
    if not isinstance(losses, Tensor) or losses.ndim != 1 or losses.shape[0] != rows:
        raise InputError(
            f'"{name}" must return a loss for each example, [{rows}], got {shape_or_type(losses)}; take its mean over '
            "all other dimensions, and none over the batch"
        )
    if student.requires_grad and not losses.requires_grad and torch.is_grad_enabled():
        raise InputError(
            f'"{name}" must lead back to the student, got a loss without a gradient; compute it without detach, data, '
            "argmax and numpy of the student's"
        )


def named_losses(name: str, losses: object) -> Mapping[str, Tensor]:
    """Returns the losses of a term by name, "" for its only one.

    Args:
        name: the term's.
        losses: a loss for each example [B], or several by name.

    Raises:
        InputError: it is neither: more dimensions than one are reduced by nobody.
    """
    named: Mapping[str, Any] = losses if isinstance(losses, Mapping) else {"": losses}
    for key, loss in named.items():
        if not isinstance(loss, Tensor) or loss.ndim != 1:
            got = shape_or_type(loss)
            owner = f"{name}_{key}" if key else name
            raise InputError(
                f'"{owner}" must return a loss for each example, [B], or a mapping of such losses, got {got}; take its '
                "mean over all other dimensions, and none over the batch"
            )
    return named


def check_stages(name: str, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
    """Raises InputError unless both have as many stages, at least two, and hold the same examples."""
    if len(student) != len(teacher) or len(student) < 2:
        raise InputError(
            f'"{name}" must read at least 2 taps of each network, got {len(student)} and {len(teacher)}; '
            "give student_taps and teacher_taps"
        )
    for ours, theirs in zip(student, teacher, strict=True):
        check_rows(ours, theirs)
