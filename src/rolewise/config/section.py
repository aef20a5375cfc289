"""The kinds of numbers and names in a config, beside the base of its sections."""

from __future__ import annotations

import re
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
Moment = Annotated[
    float | str,
    BeforeValidator(_moment),
    Field(description="fraction of training from 0 to 1, or a count such as `5 epochs` or `500 steps`"),
]
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
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, description="whole number from 0 to 2^63 - 1")]
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        max_length=40,
        description="text of at most 40 lower-case letters, digits, `_` and `-`",
    ),
]


def _split_size(value: int | float) -> int | float:
    if value < 2 if isinstance(value, int) else not 0 < value < 1:
        raise ValueError(f"must be a number of examples from 2 up or a fraction between 0 and 1, got {value!r}")
    if value > 10**9:
        raise ValueError(f"must be at most 1,000,000,000 examples, got {value!r}")
    return value


#: So many of the images, or such a fraction of them.
SplitSize = Annotated[
    int | float,
    AfterValidator(_split_size),
    Field(description="number of examples from 2 up, or a fraction between 0 and 1"),
]


def _device(name: str) -> str:
    if not re.fullmatch("auto|(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", name):
        raise ValueError(f"must be auto, cpu, cuda, mps or xpu, with a number behind it such as cuda:1, got {name!r}")
    return name


Device = Annotated[
    str,
    AfterValidator(_device),
    Field(description="`auto`, `cpu`, `cuda`, `mps` or `xpu`, possibly with a number such as `cuda:1`"),
]
