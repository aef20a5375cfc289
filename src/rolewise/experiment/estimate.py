"""Estimates of an experiment's time: each kind of step is timed on a few batches before anything starts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import builders
from rolewise.experiment.arms import arms_of, control_of, labels_of
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import PRIORITY, Stage, stages_of
from rolewise.experiment.step_timing import seconds_of
from rolewise.statistics.resampling import RESAMPLES
from rolewise.threads import torch_threads

#: How often a training is validated over its epochs, and once at its end.
_VALIDATIONS = 20
#: Epochs of a training at whose first step the gradients are measured.
_PROBES = 20
#: Seconds of what surrounds a stage: networks are built, weights are read and written, digests are taken.
_AROUND = 0.15
#: Seconds of what surrounds an epoch: its record is written.
_AROUND_EPOCH = 0.001
#: Seconds of what surrounds one member's interval in a search: states are written.
_AROUND_INTERVAL = 0.03

#: Seconds of a kind of step, by kind and role (see `rolewise.experiment.step_timing.seconds_of`).
Rate = Callable[[str, str], float]


@dataclass(frozen=True)
class StageTimes:
    """About how long stages take.

    Args:
        seconds: of each stage in one process.
        stacked: by role whose search trains its members as one, what an image takes so over what it takes apart.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    stacked: dict[str, float] = field(default_factory=dict)


def stage_times(config: ExperimentConfig, todo: Iterable[Stage], images: dict[str, int]) -> StageTimes:
    """Returns about how long each stage will take.

    Steps of each network with and without its teacher, each augmentation, and the evaluation on validation and test
    images are timed, on a few batches.

    Args:
        config: the experiment.
        todo: the stages that are to run.
        images: number of images that each trains on.
    """
    stages = list(todo)
    if not stages:
        return StageTimes()
    data = seed_data_of(config, config.seeds[0], builders.configured_device(config.device))
    rates: dict[tuple[str, str], float] = {}

    def rate(what: str, name: str) -> float:
        if (what, name) not in rates:
            rates[what, name] = seconds_of(what, data, name)
        return rates[what, name]

    sizes = len(data.validation), len(data.test)
    with torch_threads(config.threads):
        seconds = {stage.name: stage_seconds(config, stage, images[stage.name], sizes, rate) for stage in stages}
        searched = {stage.role: stage for stage in stages if _is_stacked(config, stage)}
        return StageTimes(
            seconds,
            {role: rate(_step_of(config, one), role) / rate(_step_apart(one), role) for role, one in searched.items()},
        )


def _is_stacked(config: ExperimentConfig, stage: Stage) -> bool:
    """Returns whether a stage is a search that trains its members as one."""
    return (
        stage.kind == "search" and stage.strategy != "screen" and min(config.search.stacked, config.search.members) > 1
    )


def _step_apart(stage: Stage) -> str:
    """Returns the kind of step that a stage takes for each network alone: ``distilling`` or ``training``."""
    return "distilling" if stage.distilled else "training"


def _step_of(config: ExperimentConfig, stage: Stage) -> str:
    """Returns the kind of step that a stage takes."""
    return f"stacked {_step_apart(stage)}" if _is_stacked(config, stage) else _step_apart(stage)


def estimated_seconds(times: Collection[float], workers: int) -> float:
    """Returns the least seconds of jobs over some processes: no job is shared, and none is shorter than the longest.

    Args:
        times: of each job, in seconds of one process.
        workers: processes that work side by side.
    """
    return max(sum(times) / max(1, min(workers, len(times))), *times) if times else 0.0


def run_seconds(stages: Sequence[Stage], times: Mapping[str, float], workers: int, search_workers: int = 1) -> float:
    """Returns the seconds of stages over some processes, each after those that it needs.

    Args:
        stages: all stages of the run.
        times: seconds of each remaining stage in one process.
        workers: processes that work side by side.
        search_workers: processes that one search spreads its members over.
    """
    waiting = sorted((stage for stage in stages if stage.name in times), key=lambda one: (PRIORITY[one.kind], one.seed))
    running: list[tuple[float, str]] = []
    open_names, now = {stage.name for stage in waiting}, 0.0
    while waiting or running:
        ready = [stage for stage in waiting if not open_names.intersection(stage.needs)]
        for stage in ready[: max(1, workers) - len(running)]:
            waiting.remove(stage)
            seconds = times[stage.name] / (max(1, search_workers) if stage.kind == "search" else 1)
            heapq.heappush(running, (now + seconds, stage.name))
        now, name = heapq.heappop(running)
        open_names.discard(name)
    return now


def stage_seconds(config: ExperimentConfig, stage: Stage, images: int, sizes: tuple[int, int], rate: Rate) -> float:
    """Returns about how many seconds a stage takes.

    Args:
        config: the experiment.
        stage: the stage.
        images: that it trains on, each as often as it is seen.
        sizes: numbers of validation and of test images.
        rate: seconds of a kind of step, by role or augmentation.
    """
    seconds = _AROUND
    if images and stage.kind != "test":
        seconds += images * rate(_step_of(config, stage), stage.role)
        seconds -= images * _spared(config, stage, rate)
        labels = [stage.augmentation or "searched"]
        if stage.distilled and config.distill.view == "own" and stage.teacher is not None:
            labels += [teacher.augmentation for teacher in stages_of(config) if teacher.name == stage.teacher]
        seconds += sum(images * rate("augmenting", f"{label} {stage.role}") for label in labels if label != "none")
        seconds += _around_steps(config, stage, rate)
    looked_at = evaluated(config, stage, *sizes)
    seconds += sum(number * rate("evaluating", role) for role, number in looked_at.items() if number)
    return seconds + sum(
        number * sizes[1] * rate("resampling", role) for role, number in resampled(config, stage).items()
    )


def _spared(config: ExperimentConfig, stage: Stage, rate: Rate) -> float:
    """Returns the seconds for one image that a cache of the teacher's outputs spares, as a mean over all epochs."""
    cache = config.distill.cache
    if cache is None or not stage.distilled or stage.kind != "arm" or cache.views == "replay":
        return 0.0
    epochs = section_of(config, stage.role).train.epochs
    taught = rate("distilling", stage.role) - rate("training", stage.role)
    return (1 - cache.views_over(epochs) / epochs) * max(0.0, min(rate("teaching", "teacher"), taught))


def _around_steps(config: ExperimentConfig, stage: Stage, rate: Rate) -> float:
    """Returns the seconds of a training's or a search's records, and of its measurements of gradients."""
    if stage.kind == "search":
        return config.search.members * config.search.intervals * _AROUND_INTERVAL
    epochs = section_of(config, stage.role).train.epochs
    probes = min(_PROBES, epochs) * rate("probing", stage.role) if stage.distilled else 0.0
    return epochs * _AROUND_EPOCH + probes


def resampled(config: ExperimentConfig, stage: Stage) -> dict[str, int]:
    """Returns the number of times that a test computes its metric on a resample, by role; empty for other stages.

    Args:
        config: the experiment.
        stage: a search, a training or a test.
    """
    if stage.kind != "test":
        return {}
    # Each network's standard error, and its differences to others where there is one seed.
    for_each = RESAMPLES * (2 if len(config.seeds) == 1 else 1)
    found = {"teacher": for_each * len(labels_of(config))}
    for student in config.students:
        arms = arms_of(config, student.name)
        # An arm and its control are both computed anew.
        pairs = sum(arm.name != control_of(config, arm) for arm in arms)
        found[student.name] = for_each * len(arms) + 2 * RESAMPLES * pairs
    return found


def evaluated(config: ExperimentConfig, stage: Stage, validation: int, test: int) -> dict[str, int]:
    """Returns the number of images that a stage evaluates networks on, by role, each as often as it is seen.

    Args:
        config: the experiment.
        stage: a search, a training or a test.
        validation: number of validation images.
        test: number of test images.
    """
    if stage.kind == "test":
        trained = [one for one in stages_of(config) if one.seed == stage.seed and one.kind in ("teacher", "arm")]
        roles = [one.role for one in trained]
        return {role: roles.count(role) * test for role in roles}
    if stage.kind == "search":
        screened = stage.strategy in ("screen", "screened_search")
        section = config.search.screen
        candidates = max(section.candidates, config.search.members) if screened else 0
        scores = config.search.members * config.search.intervals if stage.strategy != "screen" else 0
        teacher = candidates * section.repeats * section.images
        found = {stage.role: scores * validation}
        found["teacher"] = found.get("teacher", 0) + teacher
        return found
    section_images = section_of(config, stage.role).images
    from_file = stage.kind == "teacher" and config.teacher.weights is not None
    trained_on = config.retrain_on_validation and not stage.unseen and section_images is None
    if from_file or trained_on:
        return {}
    return {stage.role: (min(_VALIDATIONS, section_of(config, stage.role).train.epochs) + 1) * validation}
