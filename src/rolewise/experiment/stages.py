"""The stages of the pipeline as plain functions: each reads what earlier stages left and fills its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.augment import Schedule
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import Distiller
from rolewise.errors import InputError, Interrupted
from rolewise.experiment import builders
from rolewise.experiment.arms import specs
from rolewise.experiment.made_images import learns_without_data, trainee_on_made_images
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.searched_scalars import scalar_segments
from rolewise.experiment.second_view import add_strong_view
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_arithmetic import note_arithmetic, stage_settings
from rolewise.experiment.stage_cache import cache_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stage_selection import named_stages
from rolewise.experiment.taken_networks import begin_from_file, cost_of, keep_beginning, take_teacher
from rolewise.files import number_or_null
from rolewise.models import init_from
from rolewise.seals import DONE, SECONDS, digests, write_sealed
from rolewise.seeds import derive_seed, generator
from rolewise.train import Trainee, evaluate, fit, load_weights

Report = Callable[[str], None]
WEIGHTS = "weights.safetensors"
#: What a stage leaves that tells how long it took. Equal runs have equal digests, so these are kept apart.
TIMES = ("timing.jsonl", SECONDS)


@dataclass(frozen=True)
class BuiltTraining:
    """A training that is ready to start."""

    trainee: Trainee
    data: SeedData
    epochs: int


def find_stage(config: ExperimentConfig, name: str) -> Stage:
    """Returns the stage of that name.

    Raises:
        InputError: the experiment has none.
    """
    for stage in stages_of(config):
        if stage.name == name:
            return stage
    raise InputError(f"no stage is called {name!r} in this experiment{named_stages(config, name)}")


def trained_network(run: RunFolder, data: SeedData, stage: Stage) -> nn.Module:
    """Returns the network that a finished training stage left, in eval mode on the device."""
    section = section_of(data.config, stage.role)
    model = builders.at_bits(section, data.network(section.model, stage.role))
    # Its content is checked before it is read; of a stage that is just ending nothing is known yet.
    load_weights(model, run.needed(stage.name, WEIGHTS))
    return model.to(data.device).eval()


def loss_of(run: RunFolder, data: SeedData, stage: Stage, seed: int, indices: Tensor) -> Distiller:
    """Builds a role's network and its loss, with its initial weights and, where it has one, its teacher.

    ``indices``, int64 [N], are the images that are trained on.
    """
    config = data.config
    section = section_of(config, stage.role)
    student = data.network(section.model, stage.role, seed)
    teacher = None
    if stage.teacher is not None:
        teacher = trained_network(run, data, find_stage(config, stage.teacher))
        if section.init == "teacher":
            init_from(student, teacher)
    begin_from_file(data, stage.role, student)
    student = builders.at_bits(section, student)
    teachers: dict[str, nn.Module] = {}
    if stage.distilled and teacher is not None:
        others = {role: trained_network(run, data, find_stage(config, name)) for role, name in stage.others}
        teachers = {section.teachers[0]: teacher, **others}
    return builders.distiller(data, section, student, teachers, indices, made=learns_without_data(section, stage))


def searching(run: RunFolder, stage: Stage, seed: int) -> BuiltTraining:
    """Builds one member's training for a search: the search's own number of images and epochs."""
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    section, search = section_of(config, stage.role), config.search
    is_teacher = stage.role == "teacher"
    images = (search.teacher_images if is_teacher else search.student_images) or section.images
    epochs = (search.teacher_epochs if is_teacher else search.student_epochs) or section.train.epochs
    settings = stage_settings(run, data, stage.role).changed(epochs=epochs)
    indices = data.some(images, data.train, "images")
    trainee = Trainee(
        loss_of(run, data, stage, seed, indices),
        data.seen_by(stage.role),
        indices,
        augmentation=builders.preset(config, "none"),
        teacher_augmentation=_teacher_view(run, config, stage),
        view=config.distill.view if stage.distilled else "shared",
        settings=settings,
        seed=seed,
        device=data.device,
        mixing=builders.mixing_of(section.mix, config),
        phases=builders.configured_methods(config, section)[0] if stage.distilled else (),
        cache=cache_of(run, config, stage, searched=True),
    )
    add_strong_view(trainee, config, distilled=stage.distilled)
    return BuiltTraining(trainee, data, epochs)


def training(run: RunFolder, stage: Stage) -> BuiltTraining:
    """Builds the training of a teacher or of an arm under its augmentation."""
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    section = section_of(config, stage.role)
    scalars = scalar_segments(run, stage)
    indices = data.final_indices(section.images, unseen=stage.unseen)
    distiller = loss_of(run, data, stage, derive_seed(stage.seed, stage.role), indices)
    settings = stage_settings(run, data, stage.role)
    if learns_without_data(section, stage):
        made = trainee_on_made_images(distiller, data, stage, section, settings)
        return BuiltTraining(made, data, section.train.epochs)
    trainee = Trainee(
        distiller,
        data.seen_by(stage.role),
        indices,
        augmentation=augmentation_of(run, config, stage),
        teacher_augmentation=_teacher_view(run, config, stage),
        view=config.distill.view if stage.distilled else "shared",
        settings=settings,
        seed=derive_seed(stage.seed, stage.role, "training"),
        device=data.device,
        scalars=scalars,
        mixing=builders.mixing_of(section.mix, config),
        phases=builders.configured_methods(config, section)[0] if stage.distilled else (),
        cache=cache_of(run, config, stage, searched=False),
    )
    add_strong_view(trainee, config, distilled=stage.distilled)
    return BuiltTraining(trainee, data, section.train.epochs)


def augmentation_of(run: RunFolder, config: ExperimentConfig, stage: Stage) -> Schedule:
    """Returns the schedule that a training stage runs under: searched here, or a preset."""
    if stage.schedule is not None:
        name = builders.schedule_file(run.stage(stage.schedule)).name
        schedule = Schedule.load(run.needed(stage.schedule, name))
        shuffled = stage.augmentation == "own_shuffled"
        return schedule.shuffled(generator(stage.seed, "shuffle", stage.role)) if shuffled else schedule
    return builders.preset(config, specs(config)[stage.augmentation])


def _teacher_view(run: RunFolder, config: ExperimentConfig, stage: Stage) -> Schedule | None:
    """Returns the teacher's own schedule under the view ``own``: the one that it was trained under."""
    if not stage.distilled or config.distill.view != "own" or stage.teacher is None:
        return None
    return augmentation_of(run, config, find_stage(config, stage.teacher))


def run_training(run: RunFolder, stage: Stage, report: Report, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Trains a teacher or an arm to its last epoch; goes on where an earlier process stopped.

    Returns:
        The stage's summary: images trained on, and the first metric where validation images were not trained on.
    """
    config = run.config()
    if stage.role == "teacher" and config.teacher.weights is not None:
        data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
        return take_teacher(data, run.stage(stage.name), WEIGHTS)
    built = training(run, stage)
    folder, data, trainee = run.stage(stage.name), built.data, built.trainee
    note_arithmetic(run, data, stage.role, trainee.settings, folder, report)
    keep_beginning(data, stage.role, folder)
    if trainee.cache is not None:
        report(str(trainee.cache))
    section = section_of(config, stage.role)
    made = learns_without_data(section, stage)
    held_out = made or not bool(torch.isin(data.validation, trainee.indices).any())

    task = trainee.distiller.task

    def validate() -> float:
        spec = data.spec(section.model) if made else trainee.distiller.student_input
        source = data.seen_by(stage.role)
        return evaluate(trainee.model, source, data.validation, spec, device=data.device, task=task).first

    # Validation images that are trained on say nothing: then there is no validation curve.
    finished = fit(
        trainee,
        folder,
        validate=validate if held_out else None,
        on_epoch=report,
        should_stop=should_stop,
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    if not finished:
        raise Interrupted(f"{stage.name} was stopped")
    summary: dict[str, Any] = {
        "images": trainee.images_seen,
        **cost_of(data, section.model, trainee.model),
    }
    if held_out:
        summary[f"validation_{task.metrics[0].key}"] = number_or_null(validate())
    return summary


def finish(run: RunFolder, stage: Stage, summary: dict[str, Any]) -> None:
    """Marks a stage as done, with the digests of all that it leaves; from now on it is not run again.

    Checkpoints, no longer needed, go.
    """
    folder, passing = run.stage(stage.name), ("checkpoints", "state")
    files = digests(folder, leave_out=(*passing, *TIMES, DONE, "failed.json"))
    # In a study the folder is a link into its store, where what is the same in several cells lies once.
    key = {"key": folder.resolve().name} if folder.is_symlink() else {}
    write_sealed(folder / DONE, {"stage": stage.name, "kind": stage.kind, **key, **summary, "files": files})
    for leftover in passing:
        shutil.rmtree(folder / leftover, ignore_errors=True)
