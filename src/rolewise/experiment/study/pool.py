"""Who carries out a study's jobs: this process, or worker processes of which one may die without the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from rolewise.experiment.study.graph import Job
from rolewise.experiment.study.working import Told, carry_out, free_memory, work
from rolewise.jobs.worker_pool import MOST_LOSSES, Died, Hands
from rolewise.jobs.worker_process import start_context


class Pool(Protocol):
    """Carries out jobs."""

    @property
    def free(self) -> int:
        """How many jobs it would take."""
        ...

    def take(self, job: Job) -> None:
        """Begins a job."""

    def listen(self, seconds: float) -> Iterator[Told]:
        """Gives what is told of the jobs, after waiting so long at the most."""

    def stop(self) -> None:
        """Asks the jobs under way to end at their next checkpoint."""

    def close(self) -> None:
        """Ends what was started."""


class Here:
    """Carries out one job at a time in this process.

    Args:
        root: the study folder.
        should_stop: asked while a job runs.
    """

    def __init__(self, root: Path, should_stop: Callable[[], bool]) -> None:
        self._root, self._should_stop = root, should_stop
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """See `Pool`."""
        return int(self._job is None)

    def take(self, job: Job) -> None:
        """See `Pool`."""
        self._job = job

    def listen(self, seconds: float) -> Iterator[Told]:
        """Runs the job that was taken, and gives what was told of it."""
        told: list[Told] = []
        if self._job is not None:
            told.append(carry_out(self._root, self._job, told.append, self._should_stop))
            self._job = None
            if told[-1].kind == "failed":
                free_memory()
        yield from told

    def stop(self) -> None:
        """See `Pool`: it asks by itself."""

    def close(self) -> None:
        """See `Pool`: nothing was started."""


class Processes:
    """Carries out jobs in worker processes; one that dies is started again, and begins its job again.

    A job that begins again goes on from its last checkpoint; one that is lost three times has failed.

    Args:
        root: the study folder.
        workers: how many.
        should_stop: whether to break off while the workers start.

    Raises:
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start.
    """

    def __init__(self, root: Path, workers: int, should_stop: Callable[[], bool]) -> None:
        context = start_context("rolewise.experiment.study.working")
        self._hands: Hands[Job] = Hands(workers, work, (root,), context, should_stop=should_stop)

    @property
    def free(self) -> int:
        """See `Pool`."""
        return len(self._hands.idle)

    def take(self, job: Job) -> None:
        """See `Pool`."""
        self._hands.give(self._hands.idle[0], job)

    def listen(self, seconds: float) -> Iterator[Told]:
        """See `Pool`."""
        for place in self._hands.stirring(seconds):
            while (job := self._hands.job(place)) is not None and (told := self._hands.hear(place)) is not None:
                if isinstance(told, Died):
                    told = _lost(job, told)
                elif told.kind != "moves":
                    self._hands.done(place)
                yield told

    def stop(self) -> None:
        """See `Pool`."""
        self._hands.stop()

    def close(self) -> None:
        """See `Pool`: hangs up, so that the workers end, and kills those that have a job."""
        self._hands.close()


def _lost(job: Job, died: Died) -> Told:
    if died.again:
        return Told(job.key, "lost", f"{died.cause}; it begins again from its last checkpoint")
    # Lost less often it was not begun again because the study is being stopped.
    return Told(job.key, "failed", died.reason) if died.losses >= MOST_LOSSES else Told(job.key, "stopped")
