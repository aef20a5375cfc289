"""The updates of a study's jobs, and the work that each job is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rolewise.errors import RolewiseError
from rolewise.experiment.stage_work import stage_work
from rolewise.experiment.stored_run import StoredRun
from rolewise.jobs.job import Job, JobContext, JobRaised, WorkerDied
from rolewise.jobs.job_news import JobNews, Work
from rolewise.seals import DONE, write_sealed
from rolewise.study.job_graph import StudyJob
from rolewise.study.stage_measurement import measured
from rolewise.study.study_folder import StudyFolder

#: More of an error than a table needs.
_LONGEST = 400


@dataclass(frozen=True)
class JobUpdate:
    """A change in the state of a job.

    Args:
        key: content key of the job.
        kind: ``moves`` while the job runs; ``lost`` where its worker died and another resumes it; ``done``, ``failed``
            or ``stopped`` at its end; ``broken`` where the whole study cannot continue, such as on a full disk.
        text: progress, or the reason of a failure.
        trace: traceback of the error.
    """

    key: str
    kind: Literal["moves", "lost", "done", "failed", "stopped", "broken"]
    text: str = ""
    trace: str = ""


def work_of(folder: StudyFolder, job: StudyJob, stored: StoredRun | None = None) -> Work:
    """Returns the work of a job.

    Args:
        folder: the study folder.
        job: a search, a training or a measurement.
        stored: the job's cell in a store, for workers that share no folder with this process.
    """
    if job.measure:
        return Job(job.key, _measure, (stored or folder.root, job), needs=job.needs, threads=job.threads)
    cell = folder.cell(job.cell)
    return stage_work(cell, job.stage, key=job.key, threads=job.threads, needs=job.needs, stored=stored)


def _measure(payload: tuple[Path | StoredRun, StudyJob], context: JobContext) -> None:
    place, job = payload
    if isinstance(place, StoredRun):
        run = place.here(job.stage)
        place.take(run, job.stage)
        left = run.stage(job.stage.name).resolve().parent / job.key
    else:
        run, left = StudyFolder(place).cell(job.cell), StudyFolder(place).store(job.key)
    write_sealed(left / DONE, {"key": job.key, "files": {}, **measured(run, job.stage, job.measure)})
    if isinstance(place, StoredRun):
        place.store.give(job.key, left)


def update_of(news: JobNews) -> JobUpdate | None:
    """Returns the update that news of a job are; None where they are none.

    Args:
        news: the news.
    """
    key, value = news.work.key, news.value
    if news.kind == "start":
        return None
    if news.kind == "moves":
        return JobUpdate(key, "moves", value)
    if news.kind == "lost":
        return JobUpdate(key, "lost", f"{value.cause}; it resumes from its last checkpoint")
    if news.kind != "failed":
        return JobUpdate(key, news.kind)
    if isinstance(value, WorkerDied):
        return JobUpdate(key, "failed", value.reason)
    assert isinstance(value, JobRaised)
    if isinstance(value.error, OSError):
        return JobUpdate(key, "broken", f"{type(value.error).__name__}: {value.error}", value.trace)
    # Any other error is this cell's alone: other cells continue, and the traceback is kept beside the reason.
    if not isinstance(value.error, Exception):
        value.raise_here()
    return JobUpdate(key, "failed", reason_of(value.error), value.trace)


def reason_of(error: BaseException) -> str:
    """Formats an error as one line for a table."""
    text = " ".join(str(error).split())
    named = text if isinstance(error, RolewiseError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    return named if len(named) <= _LONGEST else named[: _LONGEST - 3] + "..."
