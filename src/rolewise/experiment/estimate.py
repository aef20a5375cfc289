"""Estimates of an experiment's time: each kind of network is timed on a few batches before anything starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import torch

from rolewise.augment import apply
from rolewise.augment import build_schedule as build_augmentation
from rolewise.config.schema import ExperimentConfig
from rolewise.data.unlabelled import JoinedSources
from rolewise.errors import NonFiniteError
from rolewise.experiment import builders
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import section_of
from rolewise.inputs import prepare
from rolewise.seeds import generator
from rolewise.threads import torch_threads
from rolewise.train import Trainee, evaluate

_TIMES = 3
#: Seconds of work below which a timing is mostly of what surrounds it.
_ENOUGH = 0.03
#: As many images as one evaluation takes at once.
_EVALUATED = 512
#: How often a training is validated over its epochs, and once at its end.
_VALIDATIONS = 20


def stage_times(config: ExperimentConfig, todo: Iterable[Stage], images: dict[str, int]) -> dict[str, float]:
    """Returns roughly how long each stage will take at least, in seconds of one process.

    Steps of each role's network, the teacher's forward pass where it teaches, the augmentation and the evaluation on
    validation and test images are timed, on a few batches; the fastest of a few times counts. Methods' own losses,
    mixing, reading and writing are left out.

    Args:
        config: the experiment.
        todo: the stages that are to run.
        images: number of images that each trains on.
    """
    stages = list(todo)
    if not stages:
        return {}
    data = seed_data_of(config, config.seeds[0], builders.configured_device(config.device))
    rates: dict[tuple[str, str], float] = {}

    def rate(what: str, role: str) -> float:
        if (what, role) not in rates:
            rates[what, role] = _SECONDS[what](data, role)
        return rates[what, role]

    sizes = len(data.validation), len(data.test)
    with torch_threads(config.threads):
        return {stage.name: stage_seconds(config, stage, images[stage.name], sizes, rate) for stage in stages}


def estimated_seconds(times: Collection[float], workers: int) -> float:
    """Returns the least seconds of jobs over some processes: no job is shared, and none is shorter than the longest.

    Args:
        times: of each job, in seconds of one process.
        workers: processes that work side by side.
    """
    return max(sum(times) / max(1, min(workers, len(times))), *times) if times else 0.0


def stage_seconds(
    config: ExperimentConfig, stage: Stage, images: int, sizes: tuple[int, int], rate: Callable[[str, str], float]
) -> float:
    """Returns the least seconds of a stage.

    Args:
        config: the experiment.
        stage: the stage.
        images: that it trains on, each as often as it is seen.
        sizes: numbers of validation and of test images.
        rate: seconds for one image, by what is done (``training``, ``teaching``, ``augmenting`` or ``evaluating``) and
            by role.
    """
    seconds = 0.0
    if images and stage.kind != "test":
        augmented = stage.kind == "search" or stage.augmentation != "none"
        seconds = images * (
            rate("training", stage.role)
            + (rate("teaching", "teacher") if stage.distilled else 0.0)
            + (rate("augmenting", "") if augmented else 0.0)
        )
    looked_at = evaluated(config, stage, *sizes)
    return seconds + sum(number * rate("evaluating", role) for role, number in looked_at.items() if number)


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


def training_seconds(data: SeedData, role: str) -> float:
    """Returns seconds for one image of a role's training on labels, as it comes."""
    section = section_of(data.config, role)
    settings = builders.train_settings(section.train, data.config)
    # Compiling takes longer than a timing may, and no step must lead to weights that are not finite.
    slow = settings.optimizer.changed(learning_rate=1e-9)
    settings = settings.changed(compile=False, optimizer=slow, groups=(), accumulate=1)
    model = builders.at_bits(section, data.network(section.model, role))
    size = section.train.batch_size
    indices, source = data.train[: max(2, size)], data.source
    if isinstance(source, JoinedSources):
        # Without classes there is no loss but a teacher's, which is timed apart: any class does for the time.
        source = source.with_labels(source.labels.clamp(min=0))
    trainee = Trainee(
        builders.distiller(data, section, model, None, indices),
        source,
        indices,
        augmentation=build_augmentation("none"),
        settings=settings,
        seed=data.seed,
        device=data.device,
    )

    def steps() -> None:
        with suppress(NonFiniteError):
            trainee.run_epochs(0, 1)
        trainee.epoch = 0

    seconds = _fastest(steps, data.device)
    if seconds < _ENOUGH:
        trainee.indices = data.train[: size * max(1, min(20, int(_ENOUGH / seconds)))]
        seconds = _fastest(steps, data.device)
    return seconds / max(1, min(len(trainee.indices), trainee.steps_per_epoch * size))


def teaching_seconds(data: SeedData, role: str = "teacher") -> float:
    """Returns seconds for one image that the teacher gives its outputs for."""
    section = data.config.teacher
    model = data.network(section.model, "teacher").to(data.device).eval()
    batch = data.source.batch(data.train[: max(2, data.config.students[0].train.batch_size)]).to(data.device)
    inputs, task = prepare(batch, data.spec(section.model)), builders.configured_task(data.config)

    @torch.no_grad()
    def step() -> None:
        task.run(model, inputs)

    return _fastest(step, data.device) / len(batch)


def augmenting_seconds(data: SeedData, role: str = "") -> float:
    """Returns seconds for the augmentation of one image, by one random operation."""
    images = data.source.batch(data.train[:_EVALUATED])
    augmentation, stream = build_augmentation("trivialaugment").at(0.0), generator(data.seed, "estimate")
    shape = (images.shape[1], images.shape[2], images.shape[3])
    on_device = images.to(data.device)

    def step() -> None:
        apply(on_device, augmentation.draw(len(images), shape, stream))

    return _fastest(step, data.device) / len(images)


def evaluating_seconds(data: SeedData, role: str) -> float:
    """Returns seconds for one image of an evaluation of a role's network."""
    section = section_of(data.config, role)
    model = builders.at_bits(section, data.network(section.model, role)).to(data.device)
    chosen, spec = data.validation[:_EVALUATED], data.spec(section.model)
    task = builders.configured_task(data.config)

    def step() -> None:
        evaluate(model, data.source, chosen, spec, device=data.device, task=task)

    return _fastest(step, data.device) / len(chosen)


_SECONDS: dict[str, Callable[[SeedData, str], float]] = {
    "training": training_seconds,
    "teaching": teaching_seconds,
    "augmenting": augmenting_seconds,
    "evaluating": evaluating_seconds,
}


def seconds_of(what: str, data: SeedData, role: str) -> float:
    """Returns seconds for one image of ``training``, ``teaching``, ``augmenting`` or ``evaluating``, by role."""
    return _SECONDS[what](data, role)


def _fastest(step: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return max(min(seconds), 1e-9)
