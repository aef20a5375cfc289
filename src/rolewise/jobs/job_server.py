"""The work of a worker process: jobs, one after another, and the values that their series leave."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from rolewise.jobs.job import Job, JobContext, JobEnd, JobRaised, as_raised, carry_out
from rolewise.jobs.worker_process import WorkerReady, received_jobs, stop_check
from rolewise.machine_memory import release_memory


@dataclass(frozen=True)
class GivenJob:
    """A job on its way to a worker.

    Args:
        job: the job, without the value that its series shares.
        series: keys of the series under way.
        shared: the value that the job's series shares, pickled; None where the worker has it, or there is none.
        fresh: whether the series is new to the worker: what another one of that key left is not its own.
    """

    job: Job
    series: frozenset[str]
    shared: Any = None
    fresh: bool = True

    @classmethod
    def packed(
        cls,
        job: Job,
        series: Collection[str],
        pickled: dict[str, bytes],
        *,
        known: dict[str, bool],
        dumps: Callable[[Any], bytes] = pickle.dumps,
    ) -> GivenJob:
        """Returns a job ready to be sent.

        Args:
            job: the job.
            series: keys of the series under way.
            pickled: shared values by series, so that each is pickled once.
            known: series that the worker knows, each with whether it was sent the shared value: a series may begin
                with jobs that share none. It is brought up to date.
            dumps: pickles the shared value.
        """
        fresh, sent = job.series not in known, known.get(job.series, False)
        for key in known.keys() - set(series):
            del known[key]
        known[job.series] = sent or job.shared is not None
        if job.shared is None or not job.series:
            return cls(job, frozenset(series), None, fresh)
        for key in [key for key in pickled if key not in series]:
            del pickled[key]
        if job.series not in pickled:
            pickled[job.series] = dumps(job.shared)
        return cls(replace(job, shared=None), frozenset(series), None if sent else pickled[job.series], fresh)


@dataclass
class JobServer:
    """Carries out jobs that come from another process, and keeps what lives on between them."""

    shared: dict[str, Any] = field(default_factory=dict)
    residents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def carry_out(self, given: GivenJob, report: Callable[[str], None], should_stop: Callable[[], bool]) -> JobEnd:
        """Runs a job and returns its end, which survives the way back.

        Args:
            given: the job.
            report: takes lines of progress.
            should_stop: whether the job should end at its next checkpoint.
        """
        job, end = given.job, None
        for kept in (self.shared, self.residents):
            for key in [key for key in kept if key not in given.series]:
                del kept[key]
        try:
            if given.fresh:
                self.residents.pop(job.series, None)
            if given.shared is not None:
                self.shared[job.series] = pickle.loads(given.shared)
            residents = self.residents.setdefault(job.series, {}) if job.series else {}
            end = carry_out(job, JobContext(report, should_stop, self.shared.get(job.series), residents))
        except BaseException as error:
            end = JobRaised(error, "")
        if isinstance(end, JobRaised):
            end = as_raised(end.error)
            end.error.__traceback__ = None
            release_memory()
        return end


def serve_jobs(connection: Connection) -> None:
    """Runs a worker process: one job after another, until the parent hangs up.

    Args:
        connection: brings jobs; takes lines of progress, and each job's end.

    Raises:
        EOFError: the parent hung up.
    """
    server = JobServer()
    connection.send(WorkerReady())
    for given in received_jobs(connection):
        connection.send(server.carry_out(given, connection.send, stop_check(connection)))
