"""The time of calls, measured in turns, so that other work of the machine falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def in_turns(
    runs: Mapping[str, Callable[[], object]], *, seconds: float = 0.4, least: int = 3, most: int = 200
) -> dict[str, float]:
    """Returns the median milliseconds of each of several runs.

    Args:
        runs: functions by name; each once to warm up, then one after another, round for round.
        seconds: for all rounds together, if these are at least ``least``.
        least: rounds.
        most: rounds.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for number in range(most):
        if number >= least and time.perf_counter() - begun > seconds:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(found) for name, found in times.items()}
