"""Weights of loss terms: constant, or moving over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rolewise.distill.checks import check_choice, check_limit
from rolewise.errors import InputError, near
from rolewise.spans import RULE, Span, fraction_of, is_span

Shape = Literal["constant", "linear", "cosine", "sigmoid", "step"]


@dataclass(frozen=True)
class Weight:
    r"""A weight over training.

    At the fraction t of training, with x from 0 to 1 between the window's beginning and ``at``, the weight is
    :math:`a + (b - a) f(x)` for the start a and the end b, and 0 outside the window. f is x itself (``linear``),
    :math:`(1 - \cos \pi x) / 2` (``cosine``), or :math:`\exp(-5 (1 - x)^2)` (``sigmoid``, which begins with 0.7% of the
    way done).

    Source of ``sigmoid``: Laine and Aila (2017), Temporal Ensembling for Semi-Supervised Learning, appendix A,
    https://arxiv.org/abs/1610.02242.

    Args:
        start: the weight at the beginning, at least 0.
        end: the weight at the end, at least 0.
        shape: ``linear``, ``cosine``, ``sigmoid``, ``constant`` (the start), or ``step`` (start, then end from ``at``
            on).
        at: the moment of a step, or until which the other shapes move: a fraction of training, or a count such as
            ``"5 epochs"`` or ``"500 steps"``, which a `rolewise.Trainee` makes a fraction of. By default the window's
            end.
        window: the moments between which the term is on, the second one left out; likewise.

    Raises:
        InputError: a number is negative or not finite, a moment is none, ``at`` is 0 or before the window, the window
            ends before it begins, or the shape is unknown.
    """

    start: float
    end: float
    shape: Shape = "linear"
    at: Span | None = None
    window: tuple[Span, Span] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name, value in (("weight.start", self.start), ("weight.end", self.end)):
            check_limit(name, value, "not negative")
        check_choice("weight.shape", self.shape, get_args(Shape))
        if self.at is not None and (not is_span(self.at) or not self.at):
            count = '; a count is a text such as "5 epochs"' if isinstance(self.at, str) else ""
            raise InputError.at(("weight", "at"), f"must be above 0 and at most 1, got {self.at!r}{count}")
        window = tuple(self.window) if isinstance(self.window, (list, tuple)) else ()
        if len(window) != 2 or not all(is_span(moment) for moment in window):
            raise InputError.at(("weight", "window"), f"must be two moments, each {RULE}, got {self.window!r}")
        object.__setattr__(self, "window", window)
        begin, end = window
        if not isinstance(begin, str) and not isinstance(end, str) and not begin < end:
            raise InputError.at(("weight", "window"), f"must end after it begins, got {begin:g} to {end:g}; swap them")
        if self.at is not None and not isinstance(begin, str) and not isinstance(self.at, str) and self.at <= begin:
            raise InputError.at(("weight", "at"), f"must be after the window's beginning, {begin:g}, got {self.at:g}")

    def __call__(self, progress: float) -> float:
        """Returns the weight at a fraction of training in [0, 1].

        Raises:
            InputError: a moment is counted in epochs or steps, and the training's length is unknown.
        """
        (begin, end), at = self.window, self.window[1] if self.at is None else self.at
        if progress == 0 and any(isinstance(moment, str) for moment in (begin, end, at)):
            # Known whatever the training's length, and wanted where a Distiller tries its methods.
            on = fraction_of(begin, 1, 1) == 0
            return Weight(self.start, self.end, self.shape)(0.0) if on else 0.0
        if isinstance(at, str) or isinstance(begin, str) or isinstance(end, str):
            raise InputError(
                f"a weight's moments must be fractions of training here, got {at}, {begin} and {end}; call "
                "weight.over(epochs, steps) first, or train with a rolewise.Trainee"
            )
        # The last window is closed: there is no training after its end.
        if progress < begin or progress >= end < 1:
            return 0.0
        if self.shape == "constant":
            return self.start
        if self.shape == "step":
            return self.end if progress >= at else self.start
        way = min(1.0, (progress - begin) / (at - begin))
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        elif self.shape == "sigmoid":
            way = math.exp(-5 * (1 - way) ** 2)
        return self.start + (self.end - self.start) * way

    def over(self, epochs: int, steps: int) -> Weight:
        """Returns the same weight with moments that are fractions of a training.

        What lies beyond the training's end is never reached.

        Args:
            epochs: of the training.
            steps: optimiser steps of one epoch.

        Raises:
            InputError: the moments are not in order in this training.
        """
        if not any(isinstance(moment, str) for moment in (self.at, *self.window)):
            return self
        begin, end = (fraction_of(moment, epochs, steps) for moment in self.window)
        at = end if self.at is None else fraction_of(self.at, epochs, steps)
        if not begin < min(at, end):
            got = f"{self.window[0]} to {self.window[1]}" + ("" if self.at is None else f", at {self.at}")
            rule = f"must be in order in a training of {epochs} epochs of {steps} steps, got {got}"
            raise InputError.at(("weight", "window"), rule)
        if begin >= 1.0:
            return Weight(0.0, 0.0, "constant")
        over = Weight(self.start, self.end, self.shape, window=(begin, min(1.0, end)))
        # Beyond the training's end it is no fraction of it: a ramp is then left unfinished.
        object.__setattr__(over, "at", at)
        return over


def weight_of(value: Any) -> Weight:
    """Makes a weight of a number, a `Weight`, or a mapping with ``start``, ``end``, ``shape``, ``at`` and
    ``window``.

    Raises:
        InputError: it is none of these, or a field is wrong.
    """
    if isinstance(value, Weight):
        return value
    if isinstance(value, dict):
        fields = ("start", "end", "shape", "at", "window")
        for key in value:
            if key not in fields:
                hint = near(str(key), fields)
                rule = f'no such setting of "weight"{hint}'
                raise InputError(f"no such setting of weight: {key!r}{hint}", path=("weight", str(key)), rule=rule)
        if "start" not in value:
            raise InputError.at(("weight",), "must have a start, got none; add it")
        return Weight(**{"end": value["start"], **value})
    check_limit("weight", value, "not negative")
    return Weight(value, value)
