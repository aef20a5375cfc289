"""The worker that needs no process of its own: jobs run in the process that schedules them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from rolewise.jobs.job import Job, JobContext, JobEnd, carry_out


class ThisProcess:
    """Carries out one job at a time in this process (see `rolewise.jobs.workers.Workers`).

    Args:
        should_stop: whether to stop; called while a job runs.
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._job: Job | None = None
        self._residents: dict[str, dict[str, Any]] = {}

    @property
    def idle(self) -> list[int]:
        """See `Workers`."""
        return [0] if self._job is None else []

    @property
    def busy(self) -> bool:
        """See `Workers`."""
        return self._job is not None

    def submit(self, place: int, job: Job, losses: int, series: Collection[str]) -> None:
        """See `Workers`."""
        self._job = job
        self._residents = {key: value for key, value in self._residents.items() if key in series}

    def wait(self, seconds: float, report: Callable[[Job, str], None]) -> list[tuple[Job, JobEnd]]:
        """Carries out the job that was submitted, and returns its end."""
        job, faults = self._job, []
        if job is None:
            return []

        def reported(text: str) -> None:
            try:
                report(job, text)
            except Exception as error:
                faults.append(error)
                raise

        residents = self._residents.setdefault(job.series, {}) if job.series else {}
        try:
            end = carry_out(job, JobContext(reported, self._should_stop, job.shared, residents))
        finally:
            self._job = None
        if faults:  # who listens has failed, and not the job
            raise faults[0]
        return [(job, end)]

    def forget_series(self) -> None:
        """See `Workers`."""
        self._residents = {}

    def stop(self) -> None:
        """See `Workers`: the job calls ``should_stop`` itself."""

    def close(self, *, at_once: bool = False) -> None:
        """See `Workers`: nothing was started."""
        self._residents = {}
