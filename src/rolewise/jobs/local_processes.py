"""Worker processes of this machine. One that dies is replaced; its job is the scheduler's to give again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from rolewise.errors import Interrupted, RunError
from rolewise.jobs.job import MOST_LOSSES, Job, JobEnd, JobRaised, WorkerDied
from rolewise.jobs.job_server import GivenJob, serve_jobs
from rolewise.jobs.worker_output import WorkerOutput
from rolewise.jobs.worker_process import StopJob, WorkerReady, start_process


@dataclass
class _Worker:
    """One worker process, the job that it is at, how often that job was lost, and the series that it knows."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None
    losses: int = 0
    known: dict[str, bool] = field(default_factory=dict)


class LocalProcesses:
    """Carries out jobs in processes of this machine (see `rolewise.jobs.workers.Workers`).

    Args:
        count: number of workers.
        context: the way to start processes.
        should_stop: whether to break off while the workers start.
        serve: the function that each process runs, at the top of a module; it gets its end of a pipe.
            `rolewise.jobs.job_server.serve_jobs` by default.

    Raises:
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start. Where it sends a `JobRaised`, that error instead.
    """

    def __init__(
        self,
        count: int,
        context: BaseContext,
        should_stop: Callable[[], bool] = lambda: False,
        serve: Callable[[Connection], None] | None = None,
    ) -> None:
        self._context, self._serve, self._should_stop, self._stopping = context, serve or serve_jobs, should_stop, False
        self._output = WorkerOutput()
        self._pickled: dict[str, bytes] = {}
        self._workers: list[_Worker] = []
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
        """See `Workers`."""
        return [place for place, worker in enumerate(self._workers) if worker.job is None]

    @property
    def busy(self) -> bool:
        """See `Workers`."""
        return any(worker.job is not None for worker in self._workers)

    def submit(self, place: int, job: Job, losses: int, series: Collection[str]) -> None:
        """See `Workers`."""
        if not self._workers[place].process.is_alive():
            _bury(self._workers[place])
            self._workers[place] = self._start()
            self._await_ready(place)
        worker = self._workers[place]
        given = GivenJob.packed(job, series, self._pickled, known=worker.known)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            worker.connection.send(given)
        worker.losses, worker.job = losses, job

    def wait(self, seconds: float, report: Callable[[Job, str], None]) -> list[tuple[Job, JobEnd]]:
        """See `Workers`."""
        sources: dict[Any, _Worker] = {}
        for worker in self._workers:
            if worker.job is not None:
                sources[worker.connection] = sources[worker.process.sentinel] = worker
        ended = []
        for worker in {id(sources[source]): sources[source] for source in wait_for(list(sources), seconds)}.values():
            while (job := worker.job) is not None and (message := _receive(worker)) is not None:
                if isinstance(message, str):
                    report(job, message)
                else:
                    worker.job = None
                    ended.append((job, message))
        return ended

    def forget_series(self) -> None:
        """See `Workers`."""
        self._pickled, self._stopping = {}, False
        for worker in self._workers:
            worker.known = {}

    def stop(self) -> None:
        """See `Workers`."""
        if not self._stopping:
            self._stopping = True
            for worker in self._workers:
                if worker.job is not None:
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        worker.connection.send(StopJob())

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

    def _start(self) -> _Worker:
        return _Worker(*start_process(self._context, self._serve, (), self._output.writer, self._should_stop))

    def _await_ready(self, place: int) -> None:
        """Waits until a worker can take jobs. One that dies before is started again, as lost work is."""
        for _ in range(MOST_LOSSES):
            worker = self._workers[place]
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


def _bury(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.kill()  # it may have hung up alone
    worker.process.join()


def _receive(worker: _Worker) -> Any:
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
