"""The kinds of numbers and names in a config, beside the base of its sections."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from rolewise.seeds import LARGEST_SEED
from rolewise.spans import RULE, is_span
from rolewise.strict_settings import Section as Section

#: What is smaller counts as nothing in single precision, and is a slip.
_TINY = 1e-12


def _not_tiny(value: float) -> float:
    if value < _TINY:
        raise ValueError(f"must be at least {_TINY:g}, got {value:g}")
    return value


def _moment(value: object) -> object:
    if not is_span(value):
        raise ValueError(f"must be {RULE}, got {value!r}")
    return value


# Numbers at the edge of their type mean nothing, or run into it where they are multiplied: every kind has its end.
Fraction = Annotated[float, Field(ge=0, le=1)]
#: A moment or a length of training.
Moment = Annotated[float | str, BeforeValidator(_moment)]
Positive = Annotated[float, Field(gt=0, le=10**9), AfterValidator(_not_tiny)]
NotNegative = Annotated[float, Field(ge=0, le=10**9)]
UpToThousand = Annotated[float, Field(gt=0, le=1000), AfterValidator(_not_tiny)]
#: How many images: more than there are of them counts as all.
Count = Annotated[int, Field(ge=1, le=10**9)]
#: How many of what takes time or memory for each.
Times = Annotated[int, Field(ge=1, le=10**6)]
Several = Annotated[int, Field(ge=2, le=10_000)]
Side = Annotated[int, Field(ge=1, le=8192)]
#: Processes, 0 for as many as the machine takes; and threads of each.
Workers = Annotated[int, Field(ge=0, le=1024)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
