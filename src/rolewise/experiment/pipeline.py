"""The role-wise pipeline, from a config to a report: search, train, distil, compare, show."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.arms import Stage, stages_of
from rolewise.experiment.executor import Update, execute
from rolewise.experiment.folder import RunFolder, held, open_run
from rolewise.experiment.previews import write_previews
from rolewise.experiment.results import run_test, write_results
from rolewise.experiment.searching import images_of_search, run_search
from rolewise.experiment.stages import find_stage, finish, run_training, section_of
from rolewise.files import read_json, write_json
from rolewise.report import write_report


@dataclass(frozen=True)
class Plan:
    """What a run will do, stated before it starts.

    Args:
        stages: all stages.
        done: how many of them are done already.
        search_images: images that the searches train on, over all seeds.
        training_images: images that the trainings of teachers and arms train on, over all seeds.
    """

    stages: list[Stage]
    done: int
    search_images: int
    training_images: int


def plan(run: RunFolder) -> Plan:
    """Counts a run's stages and the images that they train on."""
    config = run.config()
    stages = stages_of(config)
    searches = sum(images_of_search(run, stage) for stage in stages if stage.kind == "search")
    trainings = sum(_images_of_training(run, stage) for stage in stages if stage.kind in ("teacher", "arm"))
    return Plan(stages, sum(run.is_done(stage.name) for stage in stages), searches, trainings)


def run_stage(
    run: RunFolder, stage: Stage, report: Callable[[str], None], should_stop: Callable[[], bool], search_workers: int
) -> None:
    """Runs one stage to its end and marks it as done."""
    started = time.perf_counter()
    if stage.kind == "test":
        summary = run_test(run, stage)
    elif stage.kind == "search":
        summary = run_search(run, stage, report, should_stop, workers=search_workers)
    else:
        summary = run_training(run, stage, report, should_stop)
    _add_seconds(run, stage, time.perf_counter() - started)
    finish(run, stage, summary)


def run(
    config: ExperimentConfig,
    out: Path,
    *,
    fresh: bool = False,
    only: Callable[[Stage], bool] | None = None,
    on_update: Callable[[Update], None] = lambda update: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
) -> dict[str, Any]:
    """Runs an experiment, or goes on with it, and writes ``results.json`` and ``report.html``.

    Args:
        config: the experiment.
        out: the run folder.
        fresh: start anew; what is there is moved aside.
        only: which stages are wanted; what they need is run as well. All by default.
        on_update: told what each stage does.
        on_plan: told what is to be done, before anything is.

    Returns:
        The content of ``results.json``; empty where ``only`` left the comparison out.

    Raises:
        InputError: the folder belongs to another config, or something named in the config is wrong.
        RunError: the run could not go on; it is kept and can be resumed.
    """
    folder = open_run(out, config, fresh=fresh)
    with held(folder):
        on_plan(plan(folder))
        stages = stages_of(config)
        if only is not None:
            stages = with_needs(stages, only)
        workers = config.workers or default_workers(config)
        pool = min(workers, len(config.seeds))
        execute(
            folder,
            stages,
            run_stage,
            workers=max(pool, workers if only is None else 1),
            threads=config.threads,
            search_workers=max(1, workers // pool) if only is None else workers,
            on_update=on_update,
        )
        if only is not None:
            return {}
        write_previews(folder)
        results = write_results(folder)
        write_json(out / "timing.json", timing(folder))
        write_report(out)
        return results


def with_needs(stages: list[Stage], wanted: Callable[[Stage], bool]) -> list[Stage]:
    """Returns the wanted stages and everything that they need, in order."""
    by_name = {stage.name: stage for stage in stages}
    names: set[str] = set()
    waiting = [stage.name for stage in stages if wanted(stage)]
    if not waiting:
        raise InputError("no stage of this experiment is wanted; check the role and the arms in the config")
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting.extend(by_name[name].needs)
    return [stage for stage in stages if stage.name in names]


def default_workers(config: ExperimentConfig) -> int:
    """Returns how many processes this machine takes: its cores over the threads of each; one on a GPU."""
    from rolewise.experiment.builders import device_of

    if device_of(config.device).type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // config.threads)


def timing(folder: RunFolder) -> dict[str, Any]:
    """Returns the seconds that each stage took, over all the processes that worked on it."""
    stages = {
        stage.name: _seconds(folder, stage) for stage in stages_of(folder.config()) if folder.is_done(stage.name)
    }
    return {"stages": stages, "total": sum(stages.values())}


def _seconds(folder: RunFolder, stage: Stage) -> float:
    path = folder.stage(stage.name) / "seconds.json"
    return float(read_json(path, "a stage's seconds")) if path.is_file() else 0.0


def _add_seconds(folder: RunFolder, stage: Stage, seconds: float) -> None:
    write_json(folder.stage(stage.name) / "seconds.json", round(_seconds(folder, stage) + seconds, 3))


def _images_of_training(run: RunFolder, stage: Stage) -> int:
    from rolewise.experiment import builders
    from rolewise.experiment.world import world

    config = run.config()
    section = section_of(config, stage.role)
    images = section.images
    if images is None:
        here = world(config, stage.seed, builders.device_of(config.device))
        images = len(here.final_indices(None, unseen=stage.unseen))
    return images * section.train.epochs


__all__ = ["Plan", "default_workers", "find_stage", "plan", "run", "run_stage", "timing", "with_needs"]
