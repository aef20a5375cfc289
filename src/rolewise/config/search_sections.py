"""The sections of a search: its population, the numbers that it moves beside the policies, and its screen."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from rolewise.config.section import Count, Section, Several, Times
from rolewise.errors import near

#: Searched numbers with a name of one word. ``temperature`` is that of every method which has one.
SHORT_SCALARS = ("learning_rate", "temperature", "label_weight", "mix_share", "mix_alpha")
#: The path of a setting within a role's own section, or within ``distill``.
_PATH = re.compile(r"(train|mix|distill)(\.([A-Za-z_]\w*|[0-9]{1,6}))+", re.ASCII)
EXAMPLE = "train.optimizer.weight_decay"


def _scalar_name(name: str) -> str:
    if name in SHORT_SCALARS or _PATH.fullmatch(name):
        return name
    hint, known = near(name, SHORT_SCALARS), ", ".join(SHORT_SCALARS)
    if "did you mean" in hint:
        raise ValueError(f"must be one of {known}, got {name!r}{hint}")
    raise ValueError(
        f"must be one of {known}, or the path of a setting within a role or within distill, such as {EXAMPLE} or "
        f"distill.methods.kd.weight, got {name!r}"
    )


#: A short name, or a dotted path; which paths can move is checked against the rest of the config.
ScalarName = Annotated[str, AfterValidator(_scalar_name)]


class ScalarSection(Section):
    """The space of one searched number.

    Args:
        low: lowest value.
        high: highest value.
        log: whether values are drawn evenly on a logarithmic scale.
    """

    low: Annotated[float, Field(ge=-(10**9), le=10**9)]
    high: Annotated[float, Field(ge=-(10**9), le=10**9)]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> ScalarSection:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}; lower it")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 on a log scale, got {self.low:g}; raise it or set log: false")
        return self


class ScreenSection(Section):
    """Candidates that are compared by the teacher's outputs alone, without training a student.

    Args:
        candidates: random policies that are compared.
        repeats: draws of augmentation for each image under each policy.
        images: images that the teacher sees.
    """

    candidates: Times = 64
    repeats: Several = 8
    images: Count = 512


class SearchSection(Section):
    """The population-based search of each role's schedule.

    Args:
        members: trainings at a time, each with a policy of its own.
        intervals: parts of a training; after each, the worst members copy the best ones.
        teacher_epochs: epochs of a member in the teacher's search; None for those of its training.
        student_epochs: epochs of a member in a student's search; None for those of its training.
        teacher_images: images of a member in the teacher's search; None for those of its training.
        student_images: images of a member in a student's search; None for those of its training.
        stacked: members that are trained as one, their networks stacked; 1 for each alone. It pays for tiny networks,
            and gives other last digits, so that it is part of the search's record.
        quantile: fraction of the members that copy, and of those that are copied.
        initial: policies at the beginning: no augmentation (``zeros``), or drawn (``random``).
        scalars: ranges of numbers that are searched too, by the path of the setting.
        screen: comparison of policies for the arms ``screen`` and ``screened_search``.
    """

    members: Several = 16
    intervals: Several = 8
    teacher_epochs: Times | None = None
    student_epochs: Times | None = None
    teacher_images: Count | None = None
    student_images: Count | None = None
    stacked: Annotated[int, Field(ge=1, le=10_000)] = 1
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    initial: Literal["zeros", "random"] = "zeros"
    scalars: dict[ScalarName, ScalarSection] = {}
    screen: ScreenSection = ScreenSection()

    @property
    def jobs(self) -> int:
        """The number of jobs that an interval consists of: one for each stack of members."""
        return -(-self.members // self.stacked)
