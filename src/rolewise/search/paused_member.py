"""The state of a member that was stopped between two steps, on disk: its interval is resumed from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rolewise.errors import InputError, NonFiniteError
from rolewise.jobs.store import StatePath
from rolewise.search import member_states
from rolewise.search.member_protocol import Member, PausableMember


def advance_or_pause(
    member: Member,
    fractions: tuple[float, float],
    file: StatePath | None,
    *,
    began: float,
    checkpoint_seconds: float,
    should_stop: Callable[[], bool],
) -> bool:
    """Trains a member to the end of its interval, or to the step at which the search is stopped.

    A member that cannot pause between steps (see `PausableMember`) is trained to the end.

    Args:
        member: at the interval's start, or wherever it was stopped.
        fractions: of training, at the interval's start and end.
        file: gets the member's state where the search is stopped, and when that is due; None for no file.
        began: start of the member's interval, by `time.perf_counter`; earlier than it was where it was stopped before.
        checkpoint_seconds: time between two writings of the file, at least.
        should_stop: called between two steps.

    Returns:
        Whether the end was reached.
    """
    if not isinstance(member, PausableMember):
        member.advance(*fractions)
        return True
    written = time.monotonic()

    def pause() -> bool:
        nonlocal written
        stopping = should_stop()
        if file is not None and (stopping or time.monotonic() - written > checkpoint_seconds):
            _write(file, member, time.perf_counter() - began)
            written = time.monotonic()
        return stopping

    return member.advance_until(fractions[1], pause)


def read_paused(file: StatePath | None) -> tuple[dict[str, Any], float] | None:
    """Returns a member's state and the seconds that were spent on its interval; None where there is nothing to resume.

    A damaged file is nothing: the member's interval is done again from its start.
    """
    if file is None or not file.is_file():
        return None
    try:
        content = member_states.read_state(file)
    except InputError:
        return None
    state, seconds = content.get("state"), content.get("seconds")
    return (state, seconds) if isinstance(state, dict) and isinstance(seconds, float) else None


def _write(file: StatePath, member: Any, seconds: float) -> None:
    try:
        content = member_states.dump_state({"state": member.state_dict(), "seconds": seconds})
    except NonFiniteError:
        return  # it is found, and named, where a search that is not stopped finds it
    member_states.write_state(file, content, sync=False)
