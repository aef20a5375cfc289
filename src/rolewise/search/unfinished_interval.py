"""The outcomes of an interval that is under way, on disk: a search that is resumed does not repeat them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.jobs.store import StatePath
from rolewise.seals import read_sealed, write_sealed
from rolewise.search.member_states import check_state, state_path
from rolewise.search.resident_members import Outcome


def write_outcomes(path: Path, interval: int, outcomes: Iterable[Outcome], seconds: float) -> None:
    """Writes the outcomes of the members that have ended an interval; of those that were lost, none.

    Args:
        path: the file.
        interval: the number of the interval under way, from 1.
        outcomes: of some members.
        seconds: time spent on the interval so far.
    """
    kept = [_finite(outcome) for outcome in outcomes if outcome.score is not None or not outcome.losses]
    write_sealed(path, {"interval": interval, "seconds": seconds, "outcomes": [vars(outcome) for outcome in kept]})


def read_outcomes(
    path: Path, interval: int, members: int, last: bool, states: StatePath | None = None
) -> tuple[dict[int, Outcome], float]:
    """Returns the outcomes of an interval by member, and the time spent on it.

    What is of another interval, damaged, or without the member's state is left out: that work is done again.

    Args:
        path: the file of `write_outcomes`.
        interval: the number of the interval under way.
        members: P.
        last: whether it is the last interval, after which there are no states.
        states: the place of the members' states; the file's folder by default.
    """
    if not path.is_file():
        return {}, 0.0
    try:
        value = read_sealed(path, "outcomes", "remove it")
        if value.get("interval") != interval:
            return {}, 0.0
        outcomes = [_outcome(entry, members) for entry in value["outcomes"]]
        seconds = float(value["seconds"])
    except (InputError, KeyError, TypeError, ValueError):
        return {}, 0.0
    whole = [
        outcome
        for outcome in outcomes
        if outcome.score is None or last or _has_state(states or path.parent, interval, outcome)
    ]
    return {outcome.member: outcome for outcome in whole}, seconds


def _finite(outcome: Outcome) -> Outcome:
    """Returns an outcome as it is recorded: a score that is no number has retired the member."""
    if outcome.score is None or math.isfinite(outcome.score):
        return outcome
    return replace(outcome, score=None, reason=outcome.reason or f"its score is {outcome.score}")


def _outcome(entry: dict[str, Any], members: int) -> Outcome:
    outcome = Outcome(**entry)
    score = outcome.score
    if not (isinstance(score, float) and math.isfinite(score)) and not (score is None and outcome.reason):
        raise ValueError(f"score {score!r}")
    if outcome.member not in range(members):
        raise ValueError(f"member {outcome.member!r}")
    return outcome


def _has_state(states: StatePath, interval: int, outcome: Outcome) -> bool:
    try:
        check_state(state_path(states, interval, outcome.member))
    except InputError:
        return False
    return True
