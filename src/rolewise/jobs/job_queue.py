"""The jobs that wait for workers, in lines by the worker in which what they need lives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rolewise.jobs.job import Job


class JobQueue:
    """Jobs that wait. Its cost for each job does not grow with their number."""

    def __init__(self) -> None:
        self._lines: dict[int | None, deque[tuple[int, Job]]] = {}
        self._homes: dict[tuple[str, int], int] = {}
        self._first = self._last = 0

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def extend(self, jobs: Iterable[Job]) -> None:
        """Adds jobs at the end."""
        for job in jobs:
            self._last += 1
            self._line_of(job).append((self._last, job))

    def put_first(self, job: Job) -> None:
        """Adds a job at the head."""
        self._first -= 1
        self._line_of(job).appendleft((self._first, job))

    def pop(self, place: int) -> Job:
        """Returns a worker's next job: the first of those that live there or nowhere yet, else another's last.

        Args:
            place: of the worker.
        """
        lines = [line for line in (self._lines.get(place), self._lines.get(None)) if line]
        if lines:
            return min(lines, key=lambda line: line[0][0]).popleft()[1]
        return max((line for line in self._lines.values() if line), key=lambda line: line[-1][0]).pop()[1]

    def begun(self, job: Job, place: int) -> None:
        """Takes note of the worker to which a job was sent: what it leaves lives there."""
        if job.home is not None:
            self._homes[job.series, job.home] = place

    def drop_series(self, key: str) -> None:
        """Removes the jobs of a series."""
        for place, line in self._lines.items():
            self._lines[place] = deque(entry for entry in line if entry[1].series != key)

    def _line_of(self, job: Job) -> deque[tuple[int, Job]]:
        place = None if job.home is None else self._homes.get((job.series, job.home))
        return self._lines.setdefault(place, deque())
