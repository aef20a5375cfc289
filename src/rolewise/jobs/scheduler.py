"""The one scheduler: jobs in the order of their needs over any workers; lost work is done again, three times in all."""

from __future__ import annotations

import functools
import heapq
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

from rolewise.errors import Interrupted
from rolewise.jobs.job import (
    MOST_LOSSES,
    EndedJob,
    Job,
    JobDone,
    JobEnd,
    JobRaised,
    JobSeries,
    JobStopped,
    SeriesSteps,
    WorkerDied,
    as_raised,
)
from rolewise.jobs.job_news import JobNews, Work
from rolewise.jobs.job_queue import JobQueue
from rolewise.jobs.workers import Workers
from rolewise.machine_memory import release_memory

#: The longest wait for workers before it is looked whether to stop, in seconds.
_WAIT = 0.2


def run_jobs(
    work: Sequence[Work],
    workers: Workers,
    *,
    should_stop: Callable[[], bool],
    on_news: Callable[[JobNews], None],
) -> bool:
    """Does work, each piece after those that it needs. What needs failed work is left.

    Where ``on_news`` or a series raises, work under way is stopped at its next checkpoints first.

    Args:
        work: jobs and series. Needs that are not among it are done already.
        workers: idle workers; they are not closed.
        should_stop: returns whether the user wants to stop; called after something has begun.
        on_news: called with every change of state.

    Returns:
        Whether it came to its end; False where it was stopped before.
    """
    workers.forget_series()
    schedule = _Schedule(work, workers, on_news)
    stopping = False
    try:
        while True:
            if not stopping:
                schedule.begin_ready()
            if not workers.busy:
                break
            for job, end in workers.wait(_WAIT, schedule.report):
                schedule.take(job, end, stopping)
            if not stopping and should_stop():
                stopping = True
            if stopping:
                workers.stop()
        if stopping:
            schedule.interrupt_series()
    except Exception:
        schedule.end_early()
        raise
    finally:
        schedule.close_series()
    return not (schedule.stopped or (stopping and schedule.unfinished))


class _Schedule:
    """The work that is left, that is ready, and that is under way."""

    def __init__(self, work: Sequence[Work], workers: Workers, on_news: Callable[[JobNews], None]) -> None:
        self._work, self._workers, self._on_news = list(work), workers, on_news
        self._open = {one.key: {need for need in one.needs} for one in self._work}
        self._needed_by: dict[str, list[int]] = {}
        self._ready: list[tuple[tuple[int, ...], int]] = []
        for index, one in enumerate(self._work):
            self._open[one.key].intersection_update(self._open)
            for need in self._open[one.key]:
                self._needed_by.setdefault(need, []).append(index)
            if not self._open[one.key]:
                heapq.heappush(self._ready, (one.priority, index))
        #: Of series under way: steps and time of their beginning.
        self._series: dict[str, tuple[JobSeries, SeriesSteps, float]] = {}
        #: Jobs of series, and lost jobs, before what has not begun.
        self._queue = JobQueue()
        self._losses: dict[str, int] = {}
        self.unfinished, self.stopped = len(self._work), False

    def begin_ready(self) -> None:
        """Gives idle workers what is ready; no more than there are workers, as what is ready later may matter more."""
        for place in self._workers.idle:
            job = self._next(place)
            if job is None:
                return
            self._queue.begun(job, place)
            self._workers.submit(place, job, self._losses.get(job.key, 0), self._series.keys())

    def report(self, job: Job, text: str) -> None:
        """Passes on a line of a job's progress."""
        if not job.series:
            self._on_news(JobNews(job, "moves", text))

    def take(self, job: Job, end: JobEnd, stopping: bool) -> None:
        """Takes a job's end; one that was lost waits to be done again."""
        series = self._series.get(job.series)
        if isinstance(end, WorkerDied):
            losses = self._losses[job.key] = self._losses.get(job.key, 0) + 1
            end = replace(end, losses=losses)
            if losses < MOST_LOSSES and stopping:
                end = JobStopped()
            elif losses < MOST_LOSSES:
                self._queue.put_first(job)
                return self._on_news(JobNews(series[0] if series else job, "lost", end))
        losses = self._losses.pop(job.key, 0)
        if series is None:
            self._end(job, end)
        else:
            self._step(*series, lambda steps: steps.send(EndedJob(job, end, losses)))

    def interrupt_series(self) -> None:
        """Stops the series under way, which keep what they have."""
        for series, steps, began in list(self._series.values()):
            stopped = Interrupted(f"{series.key} was stopped")
            self._step(series, steps, began, functools.partial(_throw, error=stopped))

    def end_early(self) -> None:
        """Stops everything after an error; what it has done since its last checkpoints is kept."""
        self._on_news = lambda news: None
        self._workers.stop()
        while self._workers.busy:
            for job, end in self._workers.wait(_WAIT, lambda job, text: None):
                self.take(job, end, True)
            self._workers.stop()
        self.interrupt_series()

    def close_series(self) -> None:
        """Closes the series that are under way, where the work is broken off."""
        for _, steps, _ in self._series.values():
            steps.close()

    def _next(self, place: int) -> Job | None:
        """Returns a worker's next job: of a series that is under way or of lost work, else what is ready."""
        while not self._queue:
            if not self._ready:
                return None
            work = self._work[heapq.heappop(self._ready)[1]]
            self._on_news(JobNews(work, "start"))
            if isinstance(work, Job):
                return work
            self._begin(work)
        return self._queue.pop(place)

    def _begin(self, series: JobSeries) -> None:
        steps = series.begin(lambda text: self._on_news(JobNews(series, "moves", text)))
        self._series[series.key] = series, steps, time.perf_counter()
        self._step(*self._series[series.key], next)

    def _step(
        self,
        series: JobSeries,
        steps: SeriesSteps,
        began: float,
        advance: Callable[[SeriesSteps], Sequence[Job]],
    ) -> None:
        """Moves a series to its next jobs, or to its end."""
        try:
            self._queue.extend(advance(steps))
        except StopIteration as stop:
            end: JobEnd = JobDone(stop.value, time.perf_counter() - began)
        except Interrupted as error:
            self.stopped = True
            del self._series[series.key]
            return self._on_news(JobNews(series, "stopped", error))
        except Exception as error:
            end = as_raised(error, travelled=False)
        else:
            return
        del self._series[series.key]
        self._queue.drop_series(series.key)
        self._end(series, end)

    def _end(self, work: Work, end: JobEnd) -> None:
        if isinstance(end, JobStopped):
            self.stopped = True
            return self._on_news(JobNews(work, "stopped"))
        self.unfinished -= 1
        if isinstance(end, JobDone):
            for index in self._needed_by.get(work.key, ()):
                self._open[self._work[index].key].discard(work.key)
                if not self._open[self._work[index].key]:
                    heapq.heappush(self._ready, (self._work[index].priority, index))
            return self._on_news(JobNews(work, "done", end))
        self._on_news(JobNews(work, "failed", end))
        if isinstance(end, JobRaised):
            traceback.clear_frames(end.error.__traceback__)  # they hold the failed work's tensors
            release_memory()


def _throw(steps: SeriesSteps, error: Interrupted) -> Sequence[Job]:
    return steps.throw(error)
