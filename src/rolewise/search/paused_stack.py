"""Members that are trained as one, and their states between two steps in one file: they stop and resume together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rolewise.errors import InputError, NonFiniteError
from rolewise.jobs.store import StatePath
from rolewise.search import member_states
from rolewise.search.member_protocol import MakeStackableMember, Member


def advance_stack_or_pause(
    make_member: MakeStackableMember,
    members: Sequence[Member],
    fraction_to: float,
    failures: dict[int, str],
    file: StatePath | None,
    *,
    began: float,
    checkpoint_seconds: float,
    should_stop: Callable[[], bool],
) -> float | None:
    """Trains members as one to the end of their interval, or to the step at which the search is stopped.

    Args:
        make_member: the maker of the members; it trains them.
        members: at the interval's start, with their genomes.
        fraction_to: fraction of training at the interval's end.
        failures: takes the reasons of members that end, by place.
        file: gets all members' states where the search is stopped, and when that is due, and gives them where it was
            stopped before; None for no file.
        began: start of the work, by `time.perf_counter`.
        checkpoint_seconds: time between two writings of the file, at least.
        should_stop: called between two steps.

    Returns:
        The seconds that were spent on the interval before it was stopped; None where it is stopped now.
    """
    earlier, written = _resume(file, members, failures), time.monotonic()

    def pause() -> bool:
        nonlocal written
        stopping = should_stop()
        if file is not None and (stopping or time.monotonic() - written > checkpoint_seconds):
            _write(file, members, failures, earlier + time.perf_counter() - began)
            written = time.monotonic()
        return stopping

    return earlier if make_member.advance_stacked(members, fraction_to, pause, failures) else None


def _write(file: StatePath, members: Sequence[Member], failures: dict[int, str], seconds: float) -> None:
    try:
        states = [None if place in failures else member.state_dict() for place, member in enumerate(members)]
    except NonFiniteError:
        return  # it is found, and named, where a search that is not stopped finds it
    content = {"states": states, "failures": dict(failures), "seconds": seconds}
    member_states.write_state(file, member_states.dump_state(content), sync=False)


def _resume(file: StatePath | None, members: Sequence[Member], failures: dict[int, str]) -> float:
    """Brings members to where they were stopped, and returns the seconds that were spent on their interval.

    A damaged file is nothing: the interval is done again from its start.
    """
    if file is None or not file.is_file():
        return 0.0
    try:
        content: dict[str, Any] = member_states.read_state(file)
    except InputError:
        return 0.0
    states, ended, seconds = content.get("states"), content.get("failures"), content.get("seconds")
    if not isinstance(states, list) or len(states) != len(members) or not isinstance(ended, dict):
        return 0.0
    for member, state in zip(members, states, strict=True):
        if state is not None:
            member.load_state_dict(state)
    failures.update(ended)
    return float(seconds) if isinstance(seconds, float) else 0.0
