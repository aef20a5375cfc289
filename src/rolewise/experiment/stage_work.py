"""The work of one stage: a job, or for a search a series of jobs; and the time that it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rolewise.errors import Interrupted
from rolewise.experiment.failures import blamed
from rolewise.experiment.histograms import write_histograms
from rolewise.experiment.results import run_test
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.schedule_search import search_stage_steps
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import TIMES, Report, finish, run_training
from rolewise.experiment.stored_run import StoredRun
from rolewise.files import sha256
from rolewise.jobs.job import Job, JobContext, JobSeries, SeriesSteps
from rolewise.jobs.job_news import Work, raise_or_report
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.this_process import ThisProcess
from rolewise.seals import SECONDS, recorded_seconds, write_sealed


def run_stage(run: RunFolder, stage: Stage, report: Report, should_stop: Callable[[], bool]) -> None:
    """Runs one stage in this process to its end and marks it as done.

    Args:
        run: the run folder.
        stage: the stage.
        report: takes lines of progress.
        should_stop: called between two steps; where True, the stage ends there and can be resumed.

    Raises:
        Interrupted: the stage was stopped.
    """
    if stage.kind == "search":
        series = JobSeries(stage.name, lambda report: _search_stage(run, stage, stage.name, report))
        run_jobs(
            [series],
            ThisProcess(should_stop),
            should_stop=should_stop,
            on_news=lambda news: raise_or_report(news, report),
        )
        return
    with _recorded(run, stage):
        if stage.kind == "test":
            summary = run_test(run, stage)
        else:
            summary = run_training(run, stage, report, should_stop)
            write_histograms(run, stage)
    finish(run, stage, summary)


def stage_work(
    run: RunFolder,
    stage: Stage,
    *,
    key: str,
    threads: int,
    needs: tuple[str, ...],
    priority: tuple[int, ...] = (),
    stored: StoredRun | None = None,
) -> Work:
    """Returns the work of a stage: a series of jobs for a search, so that its members spread over all workers.

    Args:
        run: the run folder, or the folder of a study's cell.
        stage: the stage.
        key: key of the work.
        threads: threads that torch may use.
        needs: keys of the work that must be done before.
        priority: ready work with the smallest one begins first.
        stored: the run in a store, for workers that share no folder with this process.
    """
    if stage.kind == "search":
        return JobSeries(
            key,
            lambda report: _search_stage(run, stage, key, report, stored),
            width=1 if stage.strategy == "screen" else run.config().search.members,
            needs=needs,
            priority=priority,
        )
    return Job(key, _run_stage_job, (stored or run.root, stage), needs=needs, priority=priority, threads=threads)


def _run_stage_job(payload: tuple[Path | StoredRun, Stage], context: JobContext) -> None:
    place, stage = payload
    if isinstance(place, StoredRun):
        place.carry_out(stage, lambda run, stop: run_stage(run, stage, context.report, stop), context.should_stop)
    else:
        run_stage(RunFolder(place), stage, context.report, context.should_stop)


def _search_stage(
    run: RunFolder, stage: Stage, key: str, report: Report, stored: StoredRun | None = None
) -> SeriesSteps:
    if stored is not None:
        stored.take(run, stage)
    try:
        with _recorded(run, stage):
            summary = yield from search_stage_steps(run, stage, key, report, stored)
        finish(run, stage, summary)
    finally:
        if stored is not None:
            stored.give(run, stage)


@contextmanager
def _recorded(run: RunFolder, stage: Stage) -> Iterator[None]:
    """Adds the time of the block to a stage's, and names the user's own code where that raises."""
    started = time.perf_counter()
    try:
        with blamed(run.config(), stage.name, run.root):
            yield
    except (Interrupted, KeyboardInterrupt, GeneratorExit):
        # What is resumed took this time too; the files are not those of its end.
        _add_seconds(run, stage, time.perf_counter() - started, ())
        raise
    _add_seconds(run, stage, time.perf_counter() - started, TIMES)


def timing(folder: RunFolder) -> dict[str, Any]:
    """Returns the seconds that each stage took, over all the processes that worked on it."""
    stages = {stage.name: _seconds(folder, stage) for stage in stages_of(folder.config()) if folder.is_done(stage.name)}
    return {"stages": stages, "total": sum(stages.values())}


def _seconds(folder: RunFolder, stage: Stage) -> float:
    return recorded_seconds(folder.stage(stage.name)) or 0.0


def _add_seconds(folder: RunFolder, stage: Stage, seconds: float, names: Sequence[str]) -> None:
    place = folder.stage(stage.name)
    files = {name: sha256(place / name) for name in names if name != SECONDS and (place / name).is_file()}
    write_sealed(place / SECONDS, {"seconds": round(_seconds(folder, stage) + seconds, 3), "files": files})
