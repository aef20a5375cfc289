"""Worker processes that take one job at a time. Work that is lost with one is done again, three times in all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from rolewise.errors import Interrupted, RunError
from rolewise.jobs.worker_output import WorkerOutput
from rolewise.jobs.worker_process import JobRaised, StopJob, WorkerReady, start_process

JobType = TypeVar("JobType")

#: How often the same work may be lost; by then it is the work that ends its process, and it is given up.
MOST_LOSSES = 3


@dataclass(frozen=True)
class WorkerDied:
    """A worker ended in the middle of its job.

    Args:
        cause: the end of its process, in words.
        losses: the number of times that this job was lost by now.
        again: whether another process has begun the job again; False after `MOST_LOSSES`, or while stopping.
    """

    cause: str
    losses: int = 0
    again: bool = False

    @property
    def reason(self) -> str:
        """The reason for which the job is given up, for a record."""
        return f"its work was lost {self.losses} times, the last time because {self.cause}"


@dataclass
class _Worker(Generic[JobType]):
    """One worker process, the job that it is at, and how often that job was lost."""

    process: BaseProcess
    connection: Connection
    job: JobType | None = None
    losses: int = 0


class WorkerPool(Generic[JobType]):
    """A pool of worker processes, known by their places from 0 on. A dead worker is replaced and its job sent again.

    Args:
        count: number of workers.
        target: the function that each runs, at the top of a module; it gets its end of a pipe, then ``arguments``, and
            sends `WorkerReady` or `JobRaised` before it takes jobs from the pipe.
        arguments: further arguments of ``target``.
        context: the way to start processes.
        greeting: bytes that each is sent before anything else.
        should_stop: whether to break off while the workers start.

    Raises:
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start. Where it sends a `JobRaised`, that error instead.
    """

    def __init__(
        self,
        count: int,
        target: Callable[..., None],
        arguments: Sequence[Any],
        context: BaseContext,
        greeting: bytes | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._target, self._arguments, self._context, self._greeting = target, tuple(arguments), context, greeting
        self._should_stop, self._stopping = should_stop, False
        self._output = WorkerOutput()
        self._workers: list[_Worker[JobType]] = []
        try:
            for _ in range(count):
                self._workers.append(self._start())
            for place in range(count):
                self._await_ready(place)
        except BaseException:
            self.close(at_once=True)
            raise

    @property
    def idle(self) -> list[int]:
        """The places of the workers that have no job."""
        return [place for place, worker in enumerate(self._workers) if worker.job is None]

    @property
    def jobs(self) -> list[JobType]:
        """The jobs under way."""
        return [worker.job for worker in self._workers if worker.job is not None]

    def job(self, place: int) -> JobType | None:
        """Returns a worker's job, or None where it is idle."""
        return self._workers[place].job

    def submit(self, place: int, job: JobType, losses: int = 0) -> None:
        """Sends a job to an idle worker.

        Args:
            place: of the worker.
            job: any picklable value.
            losses: number of times that this job was lost before.
        """
        if not self._workers[place].process.is_alive():
            self._restart(place)
        worker = self._workers[place]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            worker.connection.send(job)
        worker.losses, worker.job = losses, job

    def done(self, place: int) -> None:
        """Marks a worker's job as ended."""
        self._workers[place].job = None

    def stop(self) -> None:
        """Sends `StopJob` to the workers that have a job; what is lost from now on is not begun again."""
        if not self._stopping:
            self._stopping = True
            for worker in self._workers:
                if worker.job is not None:
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        worker.connection.send(StopJob())

    def wait(self, seconds: float | None = None) -> list[int]:
        """Waits for busy workers, and returns the places of those that sent something or died.

        Args:
            seconds: the longest time to wait; None for no limit.
        """
        sources: dict[Any, int] = {}
        for place, worker in enumerate(self._workers):
            if worker.job is not None:
                sources[worker.connection] = sources[worker.process.sentinel] = place
        return sorted({sources[source] for source in wait_for(list(sources), timeout=seconds)})

    def receive(self, place: int) -> Any:
        """Returns a worker's message: its own, a `WorkerDied` where it ended, or None where there is none yet.

        The job of a dead worker has been begun again in a new process, or is over (see `WorkerDied`).
        """
        worker = self._workers[place]
        message, job = _receive(worker), worker.job
        if not isinstance(message, WorkerDied):
            return message
        losses, worker.job = worker.losses + 1, None
        again = job is not None and losses < MOST_LOSSES and not self._stopping and not self._should_stop()
        if again and job is not None:
            self._restart(place)
            self.submit(place, job, losses)
        return replace(message, losses=losses, again=again)

    def close(self, *, at_once: bool = False) -> None:
        """Closes the pipes, so that idle workers end, and kills those that have a job or do not end.

        Args:
            at_once: kill all of them.
        """
        for worker in self._workers:
            if at_once or worker.job is not None:
                worker.process.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        self._output.close(0.2 if at_once else 2.0)

    def _start(self) -> _Worker[JobType]:
        return _Worker(
            *start_process(self._context, self._target, self._arguments, self._output.writer, self._should_stop)
        )

    def _await_ready(self, place: int) -> None:
        """Waits until a worker can take jobs. One that dies before is started again, as lost work is."""
        for _ in range(MOST_LOSSES):
            worker = self._workers[place]
            if self._greeting is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    worker.connection.send_bytes(self._greeting)
            while not wait_for([worker.connection, worker.process.sentinel], timeout=0.2):
                if self._should_stop():
                    raise Interrupted("stopped while worker processes were starting")
            message = _receive(worker)
            if isinstance(message, JobRaised):
                message.raise_here()
            if isinstance(message, WorkerReady):
                return
            if not isinstance(message, WorkerDied):
                raise RunError(f"a worker process did not start: it sent {message!r} first")
            _bury(worker)
            self._workers[place] = self._start()
        raise RunError(
            f"a worker process did not start in {MOST_LOSSES} attempts: {message.cause}; see the text above, or use "
            "one worker"
        )

    def _restart(self, place: int) -> None:
        _bury(self._workers[place])
        self._workers[place] = self._start()
        self._await_ready(place)


def _bury(worker: _Worker[Any]) -> None:
    worker.connection.close()
    worker.process.kill()  # it may have hung up alone
    worker.process.join()


def _receive(worker: _Worker[Any]) -> Any:
    try:
        # In this order: what it sent between the two, and then ended, is still message.
        alive = worker.process.is_alive()
        if worker.connection.poll():
            return worker.connection.recv()
        if alive:
            return None
    except (EOFError, OSError):  # an OSError also where it ended in the middle of a message
        pass
    return WorkerDied(_cause_of_death(worker.process))


def _cause_of_death(process: BaseProcess) -> str:
    process.join(timeout=5)
    code = process.exitcode
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return f"its worker process ended {how}" + (" (was memory short?)" if code == -9 else "")
