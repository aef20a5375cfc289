"""A number over training, such as the weight of a loss term: constant, or moving between two moments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from rolewise.errors import InputError, near
from rolewise.spans import RULE, Span, fraction_of, is_span
from rolewise.strict_settings import Section

Shape = Literal["constant", "linear", "cosine", "sigmoid", "step"]
#: The settings that follow from the others, or are all of training, where they are left out.
_IMPLIED = ("end", "window")
_NOT_GIVEN: Any = None
_LARGEST = 10**9


class Weight(Section):
    r"""A weight over training.

    At the fraction t of training, with x from 0 to 1 between the window's beginning and ``at``, the weight is
    :math:`a + (b - a) f(x)` for the start a and the end b, and 0 outside the window. f is x itself (``linear``),
    :math:`(1 - \cos \pi x) / 2` (``cosine``), or :math:`\exp(-5 (1 - x)^2)` (``sigmoid``, which begins with 0.7% of the
    way done).

    Source of ``sigmoid``: Laine and Aila (2017), Temporal Ensembling for Semi-Supervised Learning, appendix A,
    https://arxiv.org/abs/1610.02242.

    Args:
        start: the weight at the beginning, at least 0.
        end: the weight at the end, at least 0; the start where it is left out.
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
    end: float = Field(default=_NOT_GIVEN, validate_default=False)
    shape: Shape = "linear"
    at: Span | None = None
    window: tuple[Span, Span] = Field(default=_NOT_GIVEN, validate_default=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            start: float,
            end: float | None = None,
            shape: Shape = "linear",
            at: Span | None = None,
            window: tuple[Span, Span] | None = None,
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name not in _IMPLIED or value is not None}

    @field_validator("start", "end", mode="before")
    @classmethod
    def _not_negative(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
            raise ValueError(f"must be a number of at least 0, got {value!r}")
        if value > _LARGEST:
            raise ValueError(f"must be at most {_LARGEST:,}, got {value!r}")
        return value

    @field_validator("shape", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value not in (names := get_args(Shape)):
            hint = near(str(value), names)
            # The names stand there already.
            hint = hint if "did you mean" in hint else ""
            raise ValueError(f"must be one of {', '.join(names)}, got {value!r}{hint}")
        return value

    @field_validator("at", mode="before")
    @classmethod
    def _after_the_beginning(cls, at: Any) -> Any:
        if at is not None and (not is_span(at) or not at):
            count = '; a count is a text such as "5 epochs"' if isinstance(at, str) else ""
            raise ValueError(f"must be above 0 and at most 1, got {at!r}{count}")
        return at

    @field_validator("window", mode="before")
    @classmethod
    def _in_order(cls, window: Any) -> Any:
        moments = window if isinstance(window, (list, tuple)) else ()
        if len(moments) != 2 or not all(is_span(moment) for moment in moments):
            raise ValueError(f"must be two moments, each {RULE}, got {window!r}")
        begin, end = moments
        if not isinstance(begin, str) and not isinstance(end, str) and not begin < end:
            raise ValueError(f"must end after it begins, got {begin:g} to {end:g}; swap them")
        return tuple(moments)

    @model_validator(mode="after")
    def _whole(self) -> Weight:
        # Beside what was given, which alone is written down again.
        for name, value in (("end", self.start), ("window", (0.0, 1.0))):
            if name not in self.model_fields_set:
                object.__setattr__(self, name, value)
        begin = self.window[0]
        if self.at is not None and not isinstance(begin, str) and not isinstance(self.at, str) and self.at <= begin:
            raise InputError.at(("at",), f"must be after the window's beginning, {begin:g}, got {self.at:g}")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        left_out = [name for name in _IMPLIED if name in values and name not in self.model_fields_set]
        short = info.exclude_none or info.exclude_defaults or info.exclude_unset
        nothing = {} if short else dict.fromkeys(left_out)
        return {name: nothing.get(name, value) for name, value in values.items() if name not in left_out or not short}

    def __call__(self, progress: float) -> float:
        """Returns the weight at a fraction of training in [0, 1].

        Raises:
            InputError: a moment is counted in epochs or steps, and the training's length is unknown.
        """
        if self.start == self.end and self.at is None and self.window == (0.0, 1.0):
            return self.start
        (begin, end), at = self.window, self.window[1] if self.at is None else self.at
        if progress == 0 and any(isinstance(moment, str) for moment in (begin, end, at)):
            # Known whatever the training's length, and wanted where a Distiller tries its methods.
            on = fraction_of(begin, 1, 1) == 0
            return Weight(start=self.start, end=self.end, shape=self.shape)(0.0) if on else 0.0
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
            raise InputError.at(("window",), rule)
        if begin >= 1.0:
            return Weight(start=0.0, end=0.0, shape="constant")
        over = Weight(start=self.start, end=self.end, shape=self.shape, window=(begin, min(1.0, end)))
        # Beyond the training's end it is no fraction of it: a ramp is then left unfinished.
        return over.model_copy(update={"at": at})
