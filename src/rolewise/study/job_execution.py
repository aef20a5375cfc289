"""Runs jobs in the order of their needs; a job that fails stops only the jobs that need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rolewise.errors import Interrupted, RunError
from rolewise.study.job_graph import Job
from rolewise.study.job_pool import JobPool
from rolewise.study.job_worker import JobUpdate
from rolewise.study.study_folder import StudyFolder


@dataclass(frozen=True)
class JobEvent:
    """An update of a job, with the job."""

    job: Job
    update: JobUpdate


def run_jobs(
    folder: StudyFolder,
    jobs: Sequence[Job],
    pool: JobPool,
    should_stop: Callable[[], bool],
    on_event: Callable[[JobEvent], None],
    now: list[Job],
) -> None:
    """Runs every job that is neither done nor failed and that needs no failed one.

    Args:
        folder: the study folder.
        jobs: each after those that it needs.
        pool: runs the jobs.
        should_stop: returns whether the user wants to stop.
        on_event: called with every update.
        now: filled with the jobs that run at present.

    Raises:
        Interrupted: the user stopped the study.
        RunError: a fault that would hit every job, such as a full disk.
    """
    done = {job.key for job in jobs if folder.is_done(job.key)}
    failed = {job.key for job in jobs if job.key not in done and folder.failure(job.key) is not None}
    # Needs that are no job of this list, such as a measurement's training, are done already.
    known = {job.key for job in jobs}
    done |= {need for job in jobs for need in job.needs if need not in known and folder.is_done(need)}
    waiting = [job for job in jobs if job.key not in done | failed]
    running: dict[str, Job] = {}
    stopped = False
    while waiting or running:
        if not should_stop():
            _submit_ready(pool, waiting, running, done)
        else:
            pool.stop()
        now[:] = running.values()
        if not running:
            break
        for update in pool.receive(0.2):
            job = running[update.key]
            if update.kind not in ("moves", "lost"):
                del running[update.key]
            if update.kind == "done":
                done.add(update.key)
            elif update.kind == "stopped":
                stopped = True
            elif update.kind == "failed":
                folder.fail(update.key, update.text, update.trace)
            elif update.kind == "broken":
                raise RunError(f"{job.name}: {update.text}; the study is kept: run the same command again to resume")
            on_event(JobEvent(job, update))
    if should_stop() and (waiting or stopped):
        raise Interrupted("the study was stopped")


def _submit_ready(pool: JobPool, waiting: list[Job], running: dict[str, Job], done: set[str]) -> None:
    for job in list(waiting):
        if not pool.free:
            return
        if all(need in done for need in job.needs):
            waiting.remove(job)
            running[job.key] = job
            pool.submit(job)
