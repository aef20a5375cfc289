"""Advice on an experiment: what its config names becomes a case, and the advice becomes a config over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.case import CANDIDATES, Case, Effort, Work, sample
from rolewise.advice.case_advice import advise_case
from rolewise.advice.proposed_config import TrainedTeacher, overlay
from rolewise.advice.result import Advice
from rolewise.advice.task_advice import advise_task
from rolewise.advice.task_result import TaskAdvice
from rolewise.augment import Schedule
from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import LEARNED, ExperimentConfig
from rolewise.data.reading_rules import reads_texts
from rolewise.errors import InputError, near
from rolewise.experiment import builders, strategies
from rolewise.experiment.arms import label, specs
from rolewise.experiment.evaluation import finished_training
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stages import WEIGHTS, trained_network
from rolewise.experiment.weight_sources import BEGINNINGS, WeightSetting, load_into, weight_setting
from rolewise.models import init_from
from rolewise.seeds import derive_seed, generator
from rolewise.threads import torch_threads
from rolewise.train import load_weights


def find_teacher(config: ExperimentConfig, weights: Path | None, run: tuple[Path, str] | None) -> TrainedTeacher:
    """Finds the teacher's weights: the file given, the stage of a run, or the config's own file.

    Raises:
        InputError: there is none, both are given, or the run's stage is no finished teacher of this network and data.
    """
    if weights is not None and run is not None:
        raise InputError("the teacher must come from --teacher or from --run, got both; leave one out")
    if run is not None:
        folder, stage = finished_training(*run)
        known = folder.config()
        if stage.role != "teacher":
            raise InputError(f"the stage must be a teacher's, got {stage.name!r}, which trains {stage.role!r}")
        if known.teacher.model != config.teacher.model or known.data != config.data:
            raise InputError(
                f"--run must be of the same teacher's network and data as the config, got {folder.root}; give its own "
                f"{folder.root / 'config.yaml'}, or the weights alone by --teacher"
            )
        return TrainedTeacher(str(folder.needed(stage.name, WEIGHTS)), folder, stage)
    given = str(weights) if weights is not None else config.teacher.weights
    if given is None:
        raise InputError(
            "a trained teacher must be given, got none; name its weights by --teacher FILE.safetensors or by "
            "teacher.weights in the config, or a finished teacher of a run by --run RUN STAGE, which "
            "`rolewise train CONFIG --out RUN` makes (STAGE such as seed0/teacher-own)"
        )
    return TrainedTeacher(given)


def advise_experiment(
    config: ExperimentConfig,
    trained_teacher: TrainedTeacher,
    *,
    student: str | None = None,
    student_weights: Path | None = None,
    effort: Effort | None = None,
    on_step: Callable[[str], None] = lambda text: None,
    on_diagnosis: Callable[[AdviceSection], None] = lambda section: None,
    check: bool = False,
) -> Advice | TaskAdvice:
    """Gives advice on one student of an experiment; its ``overlay`` is a config to be laid over the experiment's.

    Of a run, the student is compared with the teacher where an arm of it without distillation is finished.

    Args:
        config: the experiment. Its test set stays sealed.
        trained_teacher: the teacher's weights, and the stage that left them.
        student: the student's name; the first by default.
        student_weights: of a trained student, as safetensors.
        effort: effort of the measurements.
        on_step: called with a line before each step of the measurement.
        on_diagnosis: called with what was found of the teacher as soon as it is known.
        check: end with the diagnosis of the teacher, and propose nothing.

    Raises:
        InputError: a name or a file is wrong.
    """
    other = builders.configured_task(config).name != "classification" or reads_texts(config.data.name)
    names = [one.name for one in config.students]
    name = student or names[0]
    if name not in names:
        raise InputError(f"student must be one of the config's, got {name!r}{near(name, names)}")
    seed = trained_teacher.stage.seed if trained_teacher.stage is not None else config.seeds[0]
    with torch_threads(config.threads):
        data = seed_data_of(config, seed, builders.configured_device(config.device))
        given = (data, section_of(config, name), trained_teacher, student_weights, effort or Effort(), on_step)
        if other:
            return _of_task(*given, on_diagnosis, check)
        advice = advise_case(replace(_case(*given), on_diagnosis=on_diagnosis), check=check)
    return replace(advice, overlay=overlay(config, name, trained_teacher, advice)) if advice.overlay else advice


def _of_task(
    data: SeedData,
    section: StudentSection,
    trained_teacher: TrainedTeacher,
    student_weights: Path | None,
    effort: Effort,
    on_step: Callable[[str], None],
    on_diagnosis: Callable[[AdviceSection], None],
    check: bool,
) -> TaskAdvice:
    """Gives advice where the task is another than classes, or the data are texts."""
    teacher = _teacher(data, trained_teacher)
    student, _ = _student(data, section, teacher, trained_teacher, student_weights)
    held_out = _held_out(data, trained_teacher)
    return advise_task(
        data,
        section,
        teacher,
        student.to(data.device),
        effort=effort,
        held_out=held_out,
        on_step=on_step,
        on_diagnosis=on_diagnosis,
        check=check,
    )


def _teacher(data: SeedData, trained_teacher: TrainedTeacher) -> nn.Module:
    model = data.config.teacher.model
    teacher = data.network(model, "teacher")
    load_into(teacher, WeightSetting(("teacher",), trained_teacher.weights, model, "teacher", 0))
    return teacher.to(data.device).eval()


def _case(
    data: SeedData,
    section: StudentSection,
    trained_teacher: TrainedTeacher,
    student_weights: Path | None,
    effort: Effort,
    on_step: Callable[[str], None],
) -> Case:
    config, seed = data.config, data.seed
    teacher = _teacher(data, trained_teacher)
    student, trained = _student(data, section, teacher, trained_teacher, student_weights)
    # What is measured on must be apart from the validation images, whatever the final training may see.
    train = sample(data.source, effort.images, seed, data.final_indices(section.images, unseen=True))
    return Case(
        teacher=teacher,
        student=student.to(data.device),
        train=replace(train, whole=len(data.final_indices(section.images, unseen=False))),
        validation=sample(data.source, effort.images, seed, data.validation),
        teacher_input=data.pixel_spec(config.teacher.model),
        student_input=data.pixel_spec(section.model),
        trained=trained,
        held_out=_held_out(data, trained_teacher),
        settings=builders.train_settings(section.train, config),
        methods=tuple(config.distill.methods) or ({"name": "kd"},),
        augmentations=_candidates(config, data.source.channels),
        policies=_policies(config, effort.policies, seed),
        work=Work(
            trainings=len(config.seeds) * len(set(config.arms.distill)),
            controls=("none", label(config.arms.control)),
            members=config.search.members,
            search_epochs=config.search.student_epochs,
            search_images=config.search.student_images,
        ),
        effort=effort,
        seed=seed,
        device=data.device,
        title=section.name,
        on_step=on_step,
    )


def _student(
    data: SeedData, section: StudentSection, teacher: nn.Module, trained_teacher: TrainedTeacher, weights: Path | None
) -> tuple[nn.Module, bool]:
    """Returns the student as its training would begin with it, or trained where there are weights of it."""
    if weights is not None:
        found = builders.at_bits(section, data.network(section.model, section.name))
        load_weights(found, weights)
        return found, True
    if trained_teacher.run is not None:
        for stage in stages_of(trained_teacher.run.config()):
            alone = stage.kind == "arm" and not stage.distilled and stage.role == section.name
            if alone and stage.seed == data.seed and trained_teacher.run.is_done(stage.name):
                return trained_network(trained_teacher.run, data, stage), True
    found = data.network(section.model, section.name, derive_seed(data.seed, section.name))
    if section.init == "teacher":
        init_from(found, teacher)
    elif section.init not in BEGINNINGS:
        begun = weight_setting(data.config, section.name)
        assert begun is not None
        load_into(found, begun)
    return builders.at_bits(section, found), False


def _held_out(data: SeedData, trained_teacher: TrainedTeacher) -> bool | None:
    """Returns whether the teacher has not seen the validation images; None for a file of unknown making."""
    if trained_teacher.run is None or trained_teacher.stage is None:
        return None
    config = trained_teacher.run.config()
    if config.teacher.weights is not None:
        return None
    theirs = seed_data_of(config, trained_teacher.stage.seed, data.device)
    seen = theirs.final_indices(config.teacher.images, unseen=trained_teacher.stage.unseen)
    return not bool(torch.isin(data.validation, seen).any())


def _candidates(config: ExperimentConfig, channels: int) -> dict[str, tuple[Any, Schedule]]:
    """Returns the presets and those of the config's own arms that are not learned."""
    presets = [name for name in CANDIDATES if channels == 3 or name != "autoaugment"]
    own = [spec for spec in specs(config).values() if not (isinstance(spec, str) and spec in LEARNED)]
    return {label(spec): (spec, builders.preset(config, spec)) for spec in (*presets, *own)}


def _policies(config: ExperimentConfig, count: int, seed: int) -> tuple[Schedule, ...]:
    """Returns random policies of the space that a search would go through."""
    space = strategies.policy_space(config, "random", "teacher")
    genomes = [space.start(generator(seed, "advice", "policy", number)) for number in range(count)]
    return tuple(Schedule.constant(strategies.augmentation_of(config, genome), "random") for genome in genomes)
