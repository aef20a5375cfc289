"""Runs the stages of a run in the order of their needs; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rolewise.errors import Interrupted, RunError
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage, next_stops
from rolewise.experiment.stored_run import StoredRun
from rolewise.jobs.job import WorkerDied
from rolewise.jobs.job_news import JobNews, Work, usable_workers
from rolewise.jobs.ray_cluster import RayCluster
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.workers import started_workers
from rolewise.processes import asked_to_stop


@dataclass(frozen=True)
class StageUpdate:
    """Progress of a stage; ``text`` is ``start`` and ``done`` at its ends, and begins with ``lost`` if a worker died.

    What was lost begins again from its last checkpoint; a training with another ``start``, a search in its interval.
    """

    stage: str
    text: str
    seconds: float = 0.0


def run_stages(
    run: RunFolder,
    stages: Sequence[Stage],
    work_of: Callable[[Stage], Work],
    *,
    workers: int,
    on_update: Callable[[StageUpdate], None],
    cluster: RayCluster | None = None,
    stored: StoredRun | None = None,
) -> None:
    """Runs every stage that is not done, in this process or over several.

    A stage whose worker process dies begins again from its last checkpoint; one that is lost three times ends the run.

    Args:
        run: the run folder.
        stages: all stages; each one's needs are among them.
        work_of: makes a stage's work, whose key is the stage's name.
        workers: processes; 1 runs everything here.
        on_update: called when a stage starts, moves and ends.
        cluster: the Ray cluster of the workers; None for this machine.
        stored: the run in a store, where workers leave what they have done.

    Raises:
        Interrupted: Ctrl-C was pressed.
        RunError: a stage was lost with its worker process three times.
        RolewiseError: a stage raised it.
    """
    todo = {stage.name: stage for stage in stages if not run.is_done(stage.name)}
    if not todo:
        return
    now: dict[str, Stage] = {}

    def on_news(news: JobNews) -> None:
        name = news.work.key
        if news.kind in ("done", "failed", "stopped"):
            now.pop(name, None)
        if news.kind == "start":
            now[name] = todo[name]
        if news.kind in ("start", "moves"):
            on_update(StageUpdate(name, news.value or "start"))
        elif news.kind == "done":
            if stored is not None:
                stored.take(run, todo[name])
            on_update(StageUpdate(name, "done", news.value.seconds))
        elif news.kind == "lost":
            on_update(StageUpdate(name, f"lost: {news.value.cause}; it begins again from its last checkpoint"))
            if todo[name].kind != "search":
                on_update(StageUpdate(name, "start"))
        elif isinstance(news.value, WorkerDied):
            raise RunError(
                f"{name}: {news.value.reason}; the run is kept: run the same command again, with fewer workers if "
                "memory is short"
            )
        elif news.kind == "failed":
            news.value.raise_here()

    work = [work_of(stage) for stage in todo.values()]
    with asked_to_stop(lambda: next_stops(list(now.values()))) as asked:
        modules = (work_of.__module__,)
        with started_workers(
            min(workers, usable_workers(work)), asked.is_set, modules=modules, cluster=cluster
        ) as started:
            finished = run_jobs(work, started, should_stop=asked.is_set, on_news=on_news)
        if not finished:
            raise Interrupted("the run was stopped")
