"""Pools that run the jobs of a study: this process alone, or worker processes of which one may die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from rolewise.jobs.worker_pool import MOST_LOSSES, WorkerDied, WorkerPool
from rolewise.jobs.worker_process import start_context
from rolewise.machine_memory import release_memory
from rolewise.study.job_graph import Job
from rolewise.study.job_worker import JobUpdate, run_job, work


class JobPool(Protocol):
    """Runs jobs."""

    @property
    def free(self) -> int:
        """Number of jobs that can be submitted now."""
        ...

    def submit(self, job: Job) -> None:
        """Starts a job."""

    def receive(self, seconds: float) -> Iterator[JobUpdate]:
        """Yields the updates of the running jobs, after waiting at most ``seconds``."""

    def stop(self) -> None:
        """Requests that the running jobs end at their next checkpoint."""

    def close(self) -> None:
        """Ends the processes that the pool started."""


class InProcess:
    """Runs one job at a time in this process.

    Args:
        root: the study folder.
        should_stop: whether to stop; called while a job runs.
    """

    def __init__(self, root: Path, should_stop: Callable[[], bool]) -> None:
        self._root, self._should_stop = root, should_stop
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """See `JobPool`."""
        return int(self._job is None)

    def submit(self, job: Job) -> None:
        """See `JobPool`."""
        self._job = job

    def receive(self, seconds: float) -> Iterator[JobUpdate]:
        """Runs the job that was submitted, and returns its updates."""
        updates: list[JobUpdate] = []
        if self._job is not None:
            updates.append(run_job(self._root, self._job, updates.append, self._should_stop))
            self._job = None
            if updates[-1].kind == "failed":
                release_memory()
        yield from updates

    def stop(self) -> None:
        """See `JobPool`: the running job calls ``should_stop`` itself."""

    def close(self) -> None:
        """See `JobPool`: nothing was started."""


class WorkerProcesses:
    """Runs jobs in worker processes; a worker that dies is started again, and so is its job.

    A job that starts again resumes from its last checkpoint; a job that is lost three times has failed.

    Args:
        root: the study folder.
        workers: number of processes.
        should_stop: whether to give up while the workers start.

    Raises:
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start.
    """

    def __init__(self, root: Path, workers: int, should_stop: Callable[[], bool]) -> None:
        context = start_context("rolewise.study.job_worker")
        self._hands: WorkerPool[Job] = WorkerPool(workers, work, (root,), context, should_stop=should_stop)

    @property
    def free(self) -> int:
        """See `JobPool`."""
        return len(self._hands.idle)

    def submit(self, job: Job) -> None:
        """See `JobPool`."""
        self._hands.submit(self._hands.idle[0], job)

    def receive(self, seconds: float) -> Iterator[JobUpdate]:
        """See `JobPool`."""
        for place in self._hands.wait(seconds):
            while (job := self._hands.job(place)) is not None and (update := self._hands.receive(place)) is not None:
                if isinstance(update, WorkerDied):
                    update = _lost(job, update)
                elif update.kind != "moves":
                    self._hands.done(place)
                yield update

    def stop(self) -> None:
        """See `JobPool`."""
        self._hands.stop()

    def close(self) -> None:
        """See `JobPool`: closes the connections, so that idle workers end, and kills those that run a job."""
        self._hands.close()


def _lost(job: Job, died: WorkerDied) -> JobUpdate:
    if died.again:
        return JobUpdate(job.key, "lost", f"{died.cause}; it resumes from its last checkpoint")
    # Lost fewer times, and not started again: the study is being stopped.
    return JobUpdate(job.key, "failed", died.reason) if died.losses >= MOST_LOSSES else JobUpdate(job.key, "stopped")
