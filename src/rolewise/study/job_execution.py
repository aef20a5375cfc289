"""Runs jobs in the order of their needs; a job that fails stops only the jobs that need it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rolewise.config.study import Study
from rolewise.errors import Interrupted, RunError
from rolewise.experiment import builders
from rolewise.experiment.stage_graph import next_stops
from rolewise.experiment.stored_run import StoredRun
from rolewise.jobs.job_news import JobNews
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.workers import Workers
from rolewise.study.job_graph import StudyJob
from rolewise.study.job_update import JobUpdate, update_of, work_of
from rolewise.study.study_folder import StudyFolder


@dataclass(frozen=True)
class JobEvent:
    """An update of a job, with the job."""

    job: StudyJob
    update: JobUpdate


def run_study_jobs(
    folder: StudyFolder,
    jobs: Sequence[StudyJob],
    workers: Workers,
    should_stop: Callable[[], bool],
    on_event: Callable[[JobEvent], None],
    now: dict[str, StudyJob],
    stored: Mapping[str, StoredRun],
) -> None:
    """Runs every job that is neither done nor failed and that needs no failed one.

    Args:
        folder: the study folder.
        jobs: each after those that it needs.
        workers: carry out the jobs.
        should_stop: returns whether the user wants to stop.
        on_event: called with every update.
        now: filled with the jobs that run at present, by key.
        stored: the cells in a store, by name, where workers leave what they have done; none where they share a folder.

    Raises:
        Interrupted: the user stopped the study.
        RunError: a fault that would hit every job, such as a full disk.
    """
    todo = _runnable(folder, jobs)
    if todo and should_stop():
        raise Interrupted("the study was stopped")

    def on_news(news: JobNews) -> None:
        job = todo[news.work.key]
        if news.kind == "start":
            now[job.key] = job
        elif news.kind in ("done", "failed", "stopped"):
            now.pop(job.key, None)
        update = update_of(news)
        if update is None:
            return
        if update.kind == "done" and job.cell in stored:
            stored[job.cell].store.take(job.key, folder.store(job.key))
        if update.kind == "failed":
            folder.fail(update.key, update.text, update.trace)
        elif update.kind == "broken":
            raise RunError(f"{job.name}: {update.text}; the study is kept: run the same command again to resume")
        on_event(JobEvent(job, update))

    work = [work_of(folder, job, stored.get(job.cell)) for job in todo.values()]
    if not run_jobs(work, workers, should_stop=should_stop, on_news=on_news):
        raise Interrupted("the study was stopped")


def most_workers(study: Study, jobs: Sequence[StudyJob]) -> int:
    """Returns the number of workers that jobs can use at most: members of a search train side by side.

    Args:
        study: the study.
        jobs: jobs of it.
    """
    members = {cell.name: cell.config.search.members for cell in study.cells}
    return sum(members[job.cell] if job.stage.kind == "search" else 1 for job in jobs)


def default_workers_of(study: Study) -> int:
    """Returns the number of processes for this machine: its cores over the threads of each; one on a GPU."""
    if any(builders.configured_device(cell.config.device).type != "cpu" for cell in study.cells):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(cell.config.threads for cell in study.cells))


def _runnable(folder: StudyFolder, jobs: Sequence[StudyJob]) -> dict[str, StudyJob]:
    """Returns the jobs that are neither done nor failed and whose needs have not failed, by key."""
    todo: dict[str, StudyJob] = {}
    done = {job.key for job in jobs if folder.is_done(job.key)}
    for job in jobs:
        # Needs that are no job of this list, such as a measurement's training, are done already, or never will be.
        possible = all(need in todo or need in done or folder.is_done(need) for need in job.needs)
        if job.key not in done and possible and folder.failure(job.key) is None:
            todo[job.key] = job
    return todo


def next_stops_of(jobs: Sequence[StudyJob]) -> str:
    """Returns, in words, the moment at which the jobs that are under way can be stopped."""
    trained = next_stops([job.stage for job in jobs if not job.measure])
    measured = sum(bool(job.measure) for job in jobs)
    return trained if not measured else "this measurement" if measured == 1 else f"these {measured} measurements"
