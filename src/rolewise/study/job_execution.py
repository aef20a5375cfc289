"""Runs jobs in the order of their needs; one that fails takes with it only what needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rolewise.errors import Interrupted, RunError
from rolewise.study.job_graph import Job
from rolewise.study.job_pool import Pool
from rolewise.study.job_worker import Told
from rolewise.study.study_folder import StudyFolder


@dataclass(frozen=True)
class Event:
    """What happened to a job."""

    job: Job
    told: Told


def execute(
    folder: StudyFolder,
    jobs: Sequence[Job],
    pool: Pool,
    asked: Callable[[], bool],
    on_event: Callable[[Event], None],
    now: list[Job],
) -> None:
    """Runs every job that is neither done nor failed and that needs no failed one.

    Args:
        folder: the study folder.
        jobs: each after those that it needs.
        pool: who carries them out.
        asked: whether the user wants to stop.
        on_event: told what happens.
        now: gets the jobs under way.

    Raises:
        Interrupted: the user stopped the study.
        RunError: something is wrong that would hit every job, such as a full disk.
    """
    done = {job.key for job in jobs if folder.is_done(job.key)}
    failed = {job.key for job in jobs if job.key not in done and folder.failure(job.key) is not None}
    # What is needed and no job here is done already: a measurement's training.
    known = {job.key for job in jobs}
    done |= {need for job in jobs for need in job.needs if need not in known and folder.is_done(need)}
    waiting = [job for job in jobs if job.key not in done | failed]
    running: dict[str, Job] = {}
    stopped = False
    while waiting or running:
        if not asked():
            _give(pool, waiting, running, done)
        else:
            pool.stop()
        now[:] = running.values()
        if not running:
            break
        for told in pool.listen(0.2):
            job = running[told.key]
            if told.kind not in ("moves", "lost"):
                del running[told.key]
            if told.kind == "done":
                done.add(told.key)
            elif told.kind == "stopped":
                stopped = True
            elif told.kind == "failed":
                folder.fail(told.key, told.text, told.trace)
            elif told.kind == "broken":
                raise RunError(f"{job.name}: {told.text}; the study is kept: run the same command again to go on")
            on_event(Event(job, told))
    if asked() and (waiting or stopped):
        raise Interrupted("the study was stopped")


def _give(pool: Pool, waiting: list[Job], running: dict[str, Job], done: set[str]) -> None:
    for job in list(waiting):
        if not pool.free:
            return
        if all(need in done for need in job.needs):
            waiting.remove(job)
            running[job.key] = job
            pool.take(job)
