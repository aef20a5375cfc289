"""The questions of a study: a contrast between two sets of its rows, stated before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from rolewise.config.axis_levels import ScalarValue, scalar
from rolewise.config.faults import Steps
from rolewise.config.section import Section
from rolewise.config.yaml_scalars import quoted_value
from rolewise.errors import near
from rolewise.metric_info import MetricInfo, metric_named


class QuestionSection(Section):
    """Whether some rows of the table are better than others, everything else equal.

    Args:
        ask: question in words, for the page.
        of: levels of the rows in question, by axis, ``part``, ``student`` or ``arm``.
        against: levels of the rows that they are compared with.
        metric: column of the table; empty for the primary metric.
        wanted: direction for which the answer is yes.
    """

    ask: Annotated[str, Field(min_length=1, max_length=300)]
    of: dict[str, Any]
    against: dict[str, Any]
    metric: str = ""
    wanted: Literal["higher", "lower"] | None = None


@dataclass(frozen=True)
class Question:
    """A question whose levels are all there.

    Args:
        ask: the question in words.
        of: the levels of the rows in question, by axis, part, student or arm.
        against: those of the rows that they are compared with.
        metric: a column of the table; empty for the primary metric.
        wanted: the direction for which the answer is yes; None for the one in which the metric is better.
    """

    ask: str
    of: dict[str, tuple[ScalarValue, ...]]
    against: dict[str, tuple[ScalarValue, ...]]
    metric: str
    wanted: Literal["higher", "lower"] | None

    @property
    def plain(self) -> dict[str, Any]:
        """The question as the study's record holds it."""
        sides = {"of": self.of, "against": self.against}
        written = {name: {key: list(levels) for key, levels in side.items()} for name, side in sides.items()}
        return {"ask": self.ask, **written, "metric": self.metric, "wanted": self.wanted}


def question(section: QuestionSection, known: Mapping[str, Sequence[ScalarValue]]) -> Question:
    """Returns a question that has no fault."""
    of, against = (
        {key: _levels(value, known.get(key, ())) or (scalar(value),) for key, value in side.items()}
        for side in (section.of, section.against)
    )
    return Question(section.ask, of, against, section.metric, section.wanted)


def question_faults(
    section: QuestionSection, known: Mapping[str, Sequence[ScalarValue]], cells: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Steps, str]]:
    """Yields (path below the question, message) for everything that is wrong with it.

    Args:
        section: the question.
        known: the levels of every axis, the names of the parts and of the students.
        cells: of each cell its levels, its part, and its students as a list.
    """
    sound = True
    for name, side in (("of", section.of), ("against", section.against)):
        for key, value in side.items():
            if key == "arm":
                continue
            if key not in known:
                sound = False
                yield (name, key), f"must be an axis, part, student or arm, got {key!r}{near(key, [*known, 'arm'])}"
            elif not _levels(value, known[key]):
                sound = False
                rule = near(str(value), [str(level) for level in known[key]])
                yield (name, key), f"must be a level of {key}, or a list of some, got {quoted_value(value)}{rule}"
    if not sound:
        return
    asked = question(section, known)
    if asked.of == asked.against:
        yield (), "must compare two different things, got the same of and against; change one of them"
    for name, wanted in (("of", asked.of), ("against", asked.against)):
        if not any(_fits(cell, wanted) for cell in cells):
            yield (name,), "must hold for a cell of the study, got none that has all of these; take one out"


def _levels(value: Any, known: Sequence[ScalarValue]) -> tuple[ScalarValue, ...]:
    """Returns the levels that are meant: the value itself where it is one, else every entry of a list of them."""
    names = {(type(level) is bool, level): level for level in known}

    def one(entry: Any) -> list[ScalarValue]:
        key = (type(scalar(entry)) is bool, scalar(entry))
        return [names[key]] if key in names else []

    if found := one(value):
        return tuple(found)
    several = [one(entry) for entry in value] if isinstance(value, list) else []
    return tuple(level for found in several for level in found) if several and all(several) else ()


def _fits(cell: Mapping[str, Any], wanted: Mapping[str, Sequence[ScalarValue]]) -> bool:
    return all(
        any(student in levels for student in cell["student"]) if key == "student" else cell.get(key) in levels
        for key, levels in wanted.items()
        if key != "arm"
    )


def completed_question(question: Question, metrics: Sequence[MetricInfo]) -> Question:
    """Returns a question with the primary metric and its better direction where it names none.

    Args:
        question: the question.
        metrics: of the study's task, the primary one first.
    """
    key = question.metric or metrics[0].key
    better: Literal["higher", "lower"] = "higher" if metric_named(key, metrics).higher_is_better else "lower"
    return replace(question, metric=key, wanted=question.wanted or better)
