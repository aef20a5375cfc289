"""The worker of a study: it runs one job after another, and reports each one's progress, end or failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import torch

from rolewise.errors import Interrupted, RolewiseError
from rolewise.experiment.pipeline import run_stage
from rolewise.jobs.worker_process import WorkerReady, received_jobs, stop_check
from rolewise.machine_memory import release_memory
from rolewise.seals import DONE, write_sealed
from rolewise.study.job_graph import Job
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


def run_job(root: Path, job: Job, report: Callable[[JobUpdate], None], should_stop: Callable[[], bool]) -> JobUpdate:
    """Runs a job to its end and returns its last update."""
    folder = StudyFolder(root)
    run = folder.cell(job.cell)
    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        if job.measure:
            results = {"key": job.key, "files": {}, **measured(run, job.stage, job.measure)}
            write_sealed(folder.store(job.key) / DONE, results)
        else:
            run_stage(run, job.stage, lambda text: report(JobUpdate(job.key, "moves", text)), should_stop, 1)
        return JobUpdate(job.key, "done")
    except Interrupted:
        return JobUpdate(job.key, "stopped")
    except OSError as error:
        return JobUpdate(job.key, "broken", f"{type(error).__name__}: {error}", traceback.format_exc())
    except Exception as error:
        # Any error is this cell's alone: other cells continue, and the traceback is kept beside the reason.
        return JobUpdate(job.key, "failed", reason_of(error), traceback.format_exc())
    finally:
        torch.set_num_threads(before)


def reason_of(error: BaseException) -> str:
    """Formats an error as one line for a table."""
    text = " ".join(str(error).split())
    named = text if isinstance(error, RolewiseError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    return named if len(named) <= _LONGEST else named[: _LONGEST - 3] + "..."


def work(connection: Connection, root: Path) -> None:
    """Runs a worker process: one job after another, until the parent closes the connection.

    Args:
        connection: pipe that delivers jobs and takes their updates.
        root: the study folder.
    """
    connection.send(WorkerReady())
    for job in received_jobs(connection):
        update = run_job(root, job, connection.send, stop_check(connection))
        if update.kind == "failed":
            release_memory()
        connection.send(update)
