"""One job of a study, carried out: its result, or why there is none; and the worker process that does so."""

from __future__ import annotations

import contextlib
import gc
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import torch

from rolewise.errors import Interrupted, RolewiseError
from rolewise.experiment.pipeline import run_stage
from rolewise.experiment.study.folder import StudyFolder
from rolewise.experiment.study.graph import Job
from rolewise.experiment.study.measuring import measured
from rolewise.jobs.worker_process import Ready, jobs, stop_check
from rolewise.seals import DONE, write_sealed

#: More of an error than a table needs.
_LONGEST = 400


@dataclass(frozen=True)
class Told:
    """What is told of a job.

    Args:
        key: which one.
        kind: ``moves`` while it runs; ``lost`` where its worker died and another begins it again; ``done``, ``failed``
            or ``stopped`` at its end; ``broken`` where the whole study cannot go on, such as on a full disk.
        text: the progress, or the reason.
        trace: the error's traceback.
    """

    key: str
    kind: Literal["moves", "lost", "done", "failed", "stopped", "broken"]
    text: str = ""
    trace: str = ""


def carry_out(root: Path, job: Job, tell: Callable[[Told], None], should_stop: Callable[[], bool]) -> Told:
    """Runs a job to its end and returns what came of it."""
    folder = StudyFolder(root)
    run = folder.cell(job.cell)
    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        if job.measure:
            found = {"key": job.key, "files": {}, **measured(run, job.stage, job.measure)}
            write_sealed(folder.store(job.key) / DONE, found)
        else:
            run_stage(run, job.stage, lambda text: tell(Told(job.key, "moves", text)), should_stop, 1)
        return Told(job.key, "done")
    except Interrupted:
        return Told(job.key, "stopped")
    except OSError as error:
        return Told(job.key, "broken", f"{type(error).__name__}: {error}", traceback.format_exc())
    except Exception as error:
        # Whatever it is, it is this cell's; the others go on, and the traceback is kept beside the reason.
        return Told(job.key, "failed", reason_of(error), traceback.format_exc())
    finally:
        torch.set_num_threads(before)


def reason_of(error: BaseException) -> str:
    """Returns an error as one line for a table."""
    text = " ".join(str(error).split())
    named = text if isinstance(error, RolewiseError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    return named if len(named) <= _LONGEST else named[: _LONGEST - 3] + "..."


def free_memory() -> None:
    """Gives back what a failed job held, so that the next one has it."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


def work(connection: Connection, root: Path) -> None:
    """Runs a worker process: one job after another, until the parent hangs up.

    Args:
        connection: brings jobs, takes what is told of them.
        root: the study folder.
    """
    connection.send(Ready())
    for job in jobs(connection):
        told = carry_out(root, job, connection.send, stop_check(connection))
        if told.kind == "failed":
            free_memory()
        connection.send(told)
