"""Jobs, which any worker can carry out, and series of jobs, of which each follows from the ends of those before."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rolewise.errors import Interrupted, RunError
from rolewise.freed_memory import give_back_freed_memory
from rolewise.threads import torch_threads

#: How often the same work may be lost; by then it is the work that ends its process, and it is given up.
MOST_LOSSES = 3
#: Seconds of a job after which it is worth it to give its memory back.
_LONG = 1.0


@dataclass(frozen=True)
class JobContext:
    """The surroundings of a job where it runs.

    Args:
        report: takes a line of progress.
        should_stop: whether the job should end at its next checkpoint, by raising `Interrupted`.
        shared: the value of `Job.shared`.
        residents: values that jobs of the same series leave for those that come later to the same worker.
    """

    report: Callable[[str], None]
    should_stop: Callable[[], bool]
    shared: Any = None
    residents: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One piece of work. Its result depends on nothing but its payload and what earlier jobs have written.

    Args:
        key: its name, of no other job at the same time.
        run: a function at the top of a module: ``run(payload, context)`` carries the work out and returns its result.
        payload: any picklable value.
        needs: keys of the work that must be done before.
        priority: ready work with the smallest one begins first.
        threads: threads that torch may use.
        series: key of the series that the job belongs to; empty where it stands alone.
        home: number of a value that lives on in the worker, within the series: its next job goes there.
        shared: a value that all jobs of a series share; a worker is sent it once.
    """

    key: str
    run: Callable[[Any, JobContext], Any]
    payload: Any
    needs: tuple[str, ...] = ()
    priority: tuple[int, ...] = ()
    threads: int = 1
    series: str = ""
    home: int | None = None
    shared: Any = None


@dataclass(frozen=True)
class JobDone:
    """A job, or a series, is done.

    Args:
        result: its result.
        seconds: wall-clock time of it.
    """

    result: Any
    seconds: float


@dataclass(frozen=True)
class JobStopped:
    """A job was stopped at a checkpoint, from which the same job resumes another time."""


@dataclass(frozen=True)
class JobRaised:
    """A job, or the start of a worker, ended in an error.

    Args:
        error: the error itself.
        trace: its traceback, as text, because a traceback does not travel between processes.
        travelled: whether the error comes from another process.
    """

    error: BaseException
    trace: str
    travelled: bool = True

    def raise_here(self) -> None:
        """Raises the error, with a worker's traceback as its cause."""
        if not self.travelled:
            raise self.error
        raise self.error from RunError(f"in a worker process:\n{self.trace}")


@dataclass(frozen=True)
class WorkerDied:
    """A worker ended in the middle of its job.

    Args:
        cause: the end of its process, in words.
        losses: the number of times that this job was lost by now.
    """

    cause: str
    losses: int = 0

    @property
    def reason(self) -> str:
        """The reason for which the job is given up, for a record."""
        return f"its work was lost {self.losses} times, the last time because {self.cause}"


JobEnd: TypeAlias = JobDone | JobStopped | JobRaised | WorkerDied


@dataclass(frozen=True)
class EndedJob:
    """A job that has ended, as its series is sent it.

    Args:
        job: the job.
        end: its end; a `WorkerDied` where the job is given up.
        losses: the number of times that it was lost.
    """

    job: Job
    end: JobEnd
    losses: int = 0


#: Yields the jobs to begin next, is sent each job's end, and returns the series' result. Where the work is stopped, an
#: `Interrupted` is thrown into it.
SeriesSteps: TypeAlias = Generator[Sequence[Job], EndedJob, Any]


@dataclass(frozen=True)
class JobSeries:
    """Work whose later jobs follow from the ends of its earlier ones, such as a search with its intervals.

    Args:
        key: its name.
        begin: starts it, in the process that schedules; it gets a function that takes lines of progress.
        width: the number of its jobs that can run side by side.
        needs: keys of the work that must be done before.
        priority: ready work with the smallest one begins first.
    """

    key: str
    begin: Callable[[Callable[[str], None]], SeriesSteps]
    width: int = 1
    needs: tuple[str, ...] = ()
    priority: tuple[int, ...] = ()


def carry_out(job: Job, context: JobContext) -> JobEnd:
    """Runs a job and returns its end.

    Args:
        job: the job.
        context: its surroundings.
    """
    began = time.perf_counter()
    try:
        with torch_threads(job.threads):
            result = job.run(job.payload, context)
    except Interrupted:
        return JobStopped()
    except Exception as error:
        return as_raised(error, travelled=False)
    finally:
        if time.perf_counter() - began > _LONG:
            give_back_freed_memory()
    return JobDone(result, time.perf_counter() - began)


def as_raised(error: BaseException, *, travelled: bool = True) -> JobRaised:
    """Returns an error with its traceback as text.

    Args:
        error: the error.
        travelled: whether it goes to another process; one that would not survive the way becomes a RunError.
    """
    trace = "".join(traceback.format_exception(error))
    if travelled:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return JobRaised(RunError(f"{type(error).__name__}: {error}"), trace)
    return JobRaised(error, trace, travelled)


def only_job(job: Job) -> SeriesSteps:
    """Returns the steps of a series, or of a part of it, that is one job; their result is the job's.

    Args:
        job: the job.

    Raises:
        RunError: the job was lost too often. Where it raised an error, that error instead.
    """
    ended = yield [job]
    while isinstance(ended.end, JobStopped):
        ended = yield ()  # where the stop arrives
    if isinstance(ended.end, JobRaised):
        ended.end.raise_here()
    if isinstance(ended.end, WorkerDied):
        raise RunError(ended.end.reason)
    return ended.end.result if isinstance(ended.end, JobDone) else None
