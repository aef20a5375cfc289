"""The role-wise pipeline, from a config to a report: search, train, distil, compare, show."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from rolewise.begun_folder import TRACEBACK
from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import kind_of_examples
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.estimate import run_seconds, stage_times
from rolewise.experiment.executor import StageUpdate, run_stages
from rolewise.experiment.failures import blamed
from rolewise.experiment.folder_binding import holds_work
from rolewise.experiment.predictions import write_predictions
from rolewise.experiment.previews import write_previews
from rolewise.experiment.results import write_results
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder, held, open_run
from rolewise.experiment.run_state import recorded_state
from rolewise.experiment.stage_graph import PRIORITY, Stage, stages_of
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.stage_keys import run_keys
from rolewise.experiment.stage_store import check_settled, stage_store_at
from rolewise.experiment.stage_work import stage_work, timing
from rolewise.experiment.stored_run import StoredRun
from rolewise.experiment.trial import refuse_faults
from rolewise.files import AnyPath, as_json, as_path
from rolewise.jobs.ray_cluster import RayCluster, check_workers
from rolewise.machine_record import warn_of_another_machine
from rolewise.processes import asked_to_stop
from rolewise.seals import check_stage, write_product
from rolewise.threads import torch_threads
from rolewise.trackers import tracked


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run: its stages, with their images, steps and times.

    Args:
        stages: all stages.
        done: number of stages that are done already.
        images: number of images that each stage trains on, each as often as it is seen.
        steps: number of optimiser steps of each stage.
        seconds: estimated least seconds of the remaining stages.
        times: seconds of each remaining stage in one process.
        stacked: by role whose search trains its members as one, what an image takes so over what it takes apart.
        example: name of one that is trained on: image or text.
    """

    stages: list[Stage]
    done: int
    images: dict[str, int]
    steps: dict[str, int]
    seconds: float
    times: dict[str, float] = field(default_factory=dict)
    stacked: dict[str, float] = field(default_factory=dict)
    example: str = "image"

    @property
    def search_images(self) -> int:
        """Images that the searches train on, over all seeds."""
        return sum(self.images[stage.name] for stage in self.stages if stage.kind == "search")

    @property
    def training_images(self) -> int:
        """Images that the trainings of teachers and arms train on, over all seeds."""
        return sum(self.images.values()) - self.search_images


def plan(run: RunFolder, stages: list[Stage], workers: int) -> RunPlan:
    """Counts the images that stages train on and the steps that they take, and estimates the time."""
    return plan_of_run(run.config(), stages, {stage.name for stage in stages if run.is_done(stage.name)}, workers)


def plan_of_run(config: ExperimentConfig, stages: list[Stage], done: Collection[str], workers: int) -> RunPlan:
    """Counts the images that stages train on and the steps that they take, and estimates the time of those left.

    Args:
        config: the experiment.
        stages: stages of it.
        done: names of those that are done.
        workers: processes that work side by side.
    """
    images = {stage.name: images_of_stage(config, stage) for stage in stages}
    # Each epoch's last, smaller batch is counted by its share.
    steps = {
        stage.name: round(images[stage.name] / section_of(config, stage.role).train.batch_size)
        for stage in stages
        if images[stage.name]
    }
    todo = [stage for stage in stages if stage.name not in done]
    found = stage_times(config, todo, images)
    # A search is spread over as many workers as it has jobs, be they members or stacks of them.
    spread = min(max(1, workers // len(config.seeds)), config.search.jobs)
    seconds = run_seconds(todo, found.seconds, workers, spread)
    kind = kind_of_examples(config.data.name)
    return RunPlan(stages, len(stages) - len(todo), images, steps, seconds, found.seconds, found.stacked, kind)


def images_of(run: RunFolder, stage: Stage) -> int:
    """Returns the number of images that a stage trains on, each as often as it is seen."""
    return images_of_stage(run.config(), stage)


def run(
    config: ExperimentConfig,
    out: AnyPath,
    *,
    fresh: bool = False,
    extend: bool = False,
    only: Callable[[Stage], bool] | None = None,
    cluster: RayCluster | None = None,
    states: AnyPath | None = None,
    on_update: Callable[[StageUpdate], None] = lambda update: None,
    on_plan: Callable[[RunPlan, list[Stage]], None] = lambda plan, todo: None,
) -> dict[str, Any]:
    """Runs an experiment, or resumes it, and writes ``results.json`` and ``report.html``.

    Args:
        config: the experiment.
        out: the run folder.
        fresh: start again from nothing; the present content is moved aside.
        extend: continue in the folder of another config: stages that still hold are kept, the others are run again.
        only: filter of the wanted stages; the stages that they need are run as well. All by default.
        cluster: a Ray cluster that the workers are of; then ``out`` lies on a path that all its machines share, unless
            ``states`` is given.
        states: place of what workers leave and read: a folder, or an address of a store that fsspec knows, such as
            ``s3://bucket/run``. What is finished or under way there is taken up, on any machine. By default ``out``.
        on_update: called when a stage starts, moves and ends.
        on_plan: called with the whole plan and its remaining stages, before anything is done.

    Returns:
        The content of ``results.json``; empty where ``only`` left the comparison out.

    Raises:
        InputError: the folder belongs to another config, or something named in the config is wrong.
        RunError: the run could not continue; it is kept and can be resumed.
    """
    out = as_path(out, "out")
    if not isinstance(config, ExperimentConfig):
        raise InputError(f"config must be an ExperimentConfig, got {config!r}; read a file with rolewise.load(path)")
    refuse_faults(config)
    check_workers(config.workers, cluster)
    # Before anything is made: a folder of a run that cannot begin would be in the way of the next.
    builders.configured_device(config.device)
    workers = config.workers or default_workers(config)
    store = None if states is None else stage_store_at(states, "runs", workers, apart=cluster is not None)
    if store is not None:
        check_settled(config)
    folder = open_run(out, config, fresh=fresh, extend=extend)
    with (
        held(folder),
        recorded_state(out, "run") as state,
        torch_threads(config.threads),
        tracked(out, config.track) as trackers,
    ):
        stages = stages_of(config)
        if only is not None:
            stages = with_needs(stages, only)
        stored = None if store is None else StoredRun.of(store, folder, run_keys(config))
        if stored is not None:
            stored.settle(folder, stages)
        for stage in stages:
            check_stage(folder.stage(stage.name))
        with blamed(config, "the estimate of the time", out):
            planned = plan(folder, stages, workers)
        state.plan(planned.times, planned.seconds)

        def update(news: StageUpdate) -> None:
            state.update(news.stage, news.text)
            on_update(news)

        todo = [stage for stage in stages if not folder.is_done(stage.name)]
        if todo and holds_work(out / "stages"):
            warn_of_another_machine(out)
        on_plan(planned, todo)
        # Stages run side by side, and so do the members of searches.
        run_stages(
            folder,
            stages,
            lambda stage: stage_work(
                folder,
                stage,
                key=stage.name,
                threads=config.threads,
                needs=stage.needs,
                priority=(PRIORITY[stage.kind], stage.seed),
                stored=stored,
            ),
            workers=workers,
            on_update=trackers.passing(update),
            cluster=None if cluster is None else cluster.with_threads(config.threads),
            stored=stored,
        )
        if only is not None:
            return {}
        # A matter of seconds, after which there is nothing left to stop.
        with asked_to_stop(lambda: "the report is written"):
            write_previews(folder)
            results = write_results(folder)
            write_predictions(folder, results)
            write_product(out / "timing.json", as_json(timing(folder)))
            # Drawing needs matplotlib, for which no check and no worker should wait.
            from rolewise.report import write_report

            write_report(out)
            (out / TRACEBACK).unlink(missing_ok=True)  # what it was of has been mended
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
    """Returns the number of processes for this machine: its cores over the threads of each; one on a GPU."""
    if builders.configured_device(config.device).type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // config.threads)
