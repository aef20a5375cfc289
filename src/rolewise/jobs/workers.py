"""The workers that jobs run on: what every kind of them can do, and which kind is started."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rolewise.jobs.job import Job, JobEnd
from rolewise.jobs.ray_actors import RayActors
from rolewise.jobs.ray_cluster import RayCluster


class Workers(Protocol):
    """Workers that carry out one job at a time each, known by their places from 0 on."""

    @property
    def idle(self) -> list[int]:
        """The places of the workers that have no job."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any worker has a job."""
        ...

    def submit(self, place: int, job: Job, losses: int, series: Collection[str]) -> None:
        """Sends a job to an idle worker.

        Args:
            place: of the worker.
            job: the job.
            losses: number of times that it was lost before.
            series: keys of the series under way; a worker may forget what others left.
        """

    def wait(self, seconds: float, report: Callable[[Job, str], None]) -> list[tuple[Job, JobEnd]]:
        """Waits for jobs and returns those that ended; the worker of each is idle again.

        Args:
            seconds: the longest time to wait.
            report: takes lines of progress meanwhile.
        """
        ...

    def forget_series(self) -> None:
        """Forgets what series left: those to come are others, even where their keys are the same."""

    def stop(self) -> None:
        """Requests that the jobs under way end at their next checkpoint."""

    def close(self, *, at_once: bool = False) -> None:
        """Ends what was started.

        Args:
            at_once: kill all that is under way.
        """


@contextmanager
def started_workers(
    count: int,
    should_stop: Callable[[], bool],
    *,
    modules: Sequence[str] = (),
    isolate: bool = False,
    cluster: RayCluster | None = None,
) -> Iterator[Workers]:
    """Starts workers on this machine or on a Ray cluster, and closes them at the end; at once where the block raises.

    Args:
        count: number of workers; one works in this process.
        should_stop: whether to stop; of jobs in this process, and while processes start.
        modules: names of modules that processes load before they get jobs.
        isolate: use a process of its own for one worker too.
        cluster: the Ray cluster to work on; None for this machine.
    """
    workers: Workers
    if cluster is not None:
        workers = RayActors(count, cluster, should_stop, modules)
    elif count == 1 and not isolate:
        from rolewise.jobs.this_process import ThisProcess

        workers = ThisProcess(should_stop)
    else:
        from rolewise.jobs.local_processes import LocalProcesses
        from rolewise.jobs.worker_process import start_context

        workers = LocalProcesses(count, start_context(*modules), should_stop)
    try:
        yield workers
    except BaseException:
        workers.close(at_once=True)
        raise
    workers.close()
