"""The plan of a study: its cells, images and time, before it starts."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rolewise.config import ExperimentConfig
from rolewise.data.reading_rules import kind_of_examples
from rolewise.distill.settings import method_key
from rolewise.experiment import builders
from rolewise.experiment.estimate import estimated_seconds, stage_seconds
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.step_timing import seconds_of
from rolewise.study.job_graph import JobGraph, StudyJob
from rolewise.study.study_folder import StudyFolder
from rolewise.threads import torch_threads


@dataclass(frozen=True)
class StudyPlan:
    """The plan of a study.

    Args:
        cells: number of cells.
        rows: of the table.
        stages: searches and trainings if every cell did its own.
        jobs: searches and trainings that are run, each shared by all cells that need it.
        done: number of jobs that are done already.
        images: number of images that each remaining job trains on, by its key.
        seconds: estimated seconds of the remaining jobs.
        workers: processes.
        measurements: keys of the measurements that are left, of each network once all are trained.
        times: seconds of each remaining job in one process, by its name.
        uncounted: names of the measurements that are left, beside accuracy, whose time is in no estimate.
        example: name of one that is trained on: image or text; example where the cells differ in it.
    """

    cells: int
    rows: int
    stages: int
    jobs: int
    done: int
    images: dict[str, int] = field(repr=False)
    seconds: float
    workers: int
    measurements: frozenset[str] = field(repr=False)
    times: dict[str, float] = field(repr=False, default_factory=dict)
    uncounted: tuple[str, ...] = ()
    example: str = "image"


def plan_of(folder: StudyFolder, graph: JobGraph, configs: Mapping[str, ExperimentConfig], workers: int) -> StudyPlan:
    """Counts what is left to do and estimates the time: a few steps of each kind of network are timed.

    Args:
        folder: the study folder, which need not exist.
        graph: the study's jobs.
        configs: the experiments of its cells, by cell.
        workers: processes.
    """
    failed = {job.key for job in graph.trainings if folder.failure(job.key) is not None}
    left, unmeasured = (
        [job for job in jobs if not folder.is_done(job.key) and folder.failure(job.key) is None]
        for jobs in (graph.trainings, graph.measurable(failed))
    )
    images = {job.key: images_of_stage(configs[job.cell], job.stage) for job in left}
    rows = {
        (cell, stage.seed, stage.name)
        for cell in graph.stages
        for stage in graph.stages[cell].values()
        if stage.kind == "arm"
    }
    times = _times(configs, left, unmeasured, images)
    kinds = {kind_of_examples(config.data.name) for config in configs.values()}
    return StudyPlan(
        cells=len(graph.keys),
        rows=len(rows),
        stages=sum(map(len, graph.keys.values())),
        jobs=len(graph.trainings),
        done=sum(folder.is_done(job.key) for job in graph.trainings),
        images=images,
        seconds=estimated_seconds(times.values(), workers),
        workers=workers,
        measurements=frozenset(job.key for job in unmeasured),
        times=times,
        example=kinds.pop() if len(kinds) == 1 else "example",
    )


def _times(
    configs: Mapping[str, ExperimentConfig],
    left: Sequence[StudyJob],
    unmeasured: Sequence[StudyJob],
    images: dict[str, int],
) -> dict[str, float]:
    """Returns the seconds of each job in one process, by its name."""
    rates: dict[str, float] = {}
    each: dict[str, float] = {}
    # Within a cell, what a rate depends on is put together once.
    sizes_of = functools.cache(lambda cell: _sizes(configs[cell], rates))
    rate_of = functools.cache(lambda cell, what, name: _rate(configs[cell], what, name, rates))
    for job in (*left, *unmeasured):
        config, sizes = configs[job.cell], sizes_of(job.cell)
        rate = partial(rate_of, job.cell)
        if job.measure:
            # Accuracy alone; what else is measured takes as long as it takes.
            each[job.name] = sizes[1] * rate("evaluating", job.stage.role)
        else:
            each[job.name] = stage_seconds(config, job.stage, images[job.key], sizes, rate)
    return each


def _sizes(config: ExperimentConfig, known: dict[str, float]) -> tuple[int, int]:
    """Returns the numbers of validation and test images, counted once for all cells with the same data."""
    keys = [f"{part} {config.data.model_dump_json()}" for part in ("validation", "test")]
    if keys[0] not in known:
        data = seed_data_of(config, config.seeds[0], builders.configured_device(config.device))
        known.update(zip(keys, (len(data.validation), len(data.test)), strict=True))
    return int(known[keys[0]]), int(known[keys[1]])


def _rate(config: ExperimentConfig, what: str, name: str, known: dict[str, float]) -> float:
    """Returns seconds of a kind of step; measured once for all cells in which nothing that it depends on differs."""
    parts: list[Any] = [what, config.data, config.threads, config.device]
    if what == "augmenting":
        label, _, role = name.rpartition(" ")
        parts += [label, section_of(config, role).images, config.augment]
    else:
        section = section_of(config, name)
        parts += [section.model, section.quantise, section.train.batch_size, section.images]
        parts += [section.mix.method, section.mix.pairs, section.mix.clean_too]
    if what.startswith("stacked"):
        parts += [min(config.search.stacked, config.search.members)]
    if what in ("distilling", "stacked distilling", "probing"):
        # Their settings and weights are numbers, on which the time does not depend.
        methods = [str(method.get(method_key(method))) for method in config.distill.methods]
        parts += [config.teacher.model, methods]
    key = json.dumps([part.model_dump(mode="json") if hasattr(part, "model_dump") else part for part in parts])
    if key not in known:
        data = seed_data_of(config, config.seeds[0], builders.configured_device(config.device))
        try:
            with torch_threads(config.threads):
                known[key] = seconds_of(what, data, name)
        except Exception:
            # What cannot be timed cannot be run either: the job itself will say why.
            known[key] = 0.0
    return known[key]
