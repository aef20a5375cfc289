"""The result of a system: its rows, and the answer to each of its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rolewise.statistics.questions import Answer, answer_questions
from rolewise.systems.system import Row, System, SystemSettings

Verdict = Literal["confirmed", "refuted", "undecided", "not compared"]


@dataclass(frozen=True)
class SystemResult:
    """A finished system.

    Args:
        root: its folder.
        system: the system.
        settings: its settings.
        rows: a row for each network and seed.
        answers: the answer to each claim.
    """

    root: Path
    system: System
    settings: SystemSettings
    rows: list[Row]
    answers: list[Answer]


def answers_of(system: System, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Returns the answer to each claim of a system, p values adjusted for all of them.

    Args:
        system: the system.
        rows: its rows, over all seeds.
    """
    finished = [{**row, "status": "done"} for row in rows]
    return answer_questions(finished, system.axes, [claim.question for claim in system.claims], system.metrics)


def verdict_of(answer: Answer) -> Verdict:
    """Returns whether a claim is confirmed, refuted, undecided, or not compared, where the run lacks one of its sides.

    Args:
        answer: to the claim.
    """
    if answer.difference is None:
        return "not compared"
    verdicts: dict[str, Verdict] = {"Yes": "confirmed", "No": "refuted", "Cannot be told": "undecided"}
    return verdicts[answer.verdict]
