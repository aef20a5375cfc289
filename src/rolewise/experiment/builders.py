"""Builders: the only place where config sections become the plain arguments of the other rooms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.augment import PBA_OPS, TOKEN_OPS, Mix, Schedule
from rolewise.augment import build_schedule as build_augmentation
from rolewise.batch import Batch
from rolewise.config.network_sections import MixSection, StudentSection
from rolewise.config.phase_sections import Phase
from rolewise.config.schema import AugmentationSpec, ExperimentConfig
from rolewise.config.training_sections import Training, TrainSection
from rolewise.data import TextData
from rolewise.data.reading_rules import reads_texts
from rolewise.data.targets import UNLABELLED
from rolewise.distill import Distiller, Method, build_methods, weight_of
from rolewise.errors import InputError
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.trained_peers import STUDENT, with_peers
from rolewise.inputs import prepare
from rolewise.quant import quantise
from rolewise.seeds import derive_seed
from rolewise.tasks import Classification, Task, build_task, reward_of, with_metrics
from rolewise.train import Mixing, TrainSettings
from rolewise.train.arithmetic import plain_settings
from rolewise.train.phase_course import resolved_phases


def train_settings(section: TrainSection, config: ExperimentConfig) -> TrainSettings:
    """Returns the settings of the training loop: those of a role's section, with what its images are augmented by.

    An arithmetic that is chosen by its time is the plain one here (see `rolewise.experiment.stage_arithmetic`).
    """
    shared = {name: getattr(section, name) for name in Training.model_fields}
    settings = TrainSettings(**shared, interpolation=config.augment.interpolation, fill=config.augment.fill)
    return plain_settings(settings)


def mixing_of(section: MixSection, config: ExperimentConfig) -> Mixing | None:
    """Returns the mixing of a role's images; None where they are not mixed."""
    if section.method == "none":
        return None
    by_entropy = section.pairs.endswith("entropy")
    return Mixing(
        mix=Mix(
            section.method,
            share_kind=section.share_kind,
            ratio=section.ratio,
            fold=section.fold,
            pairs="any" if by_entropy else section.pairs,
        ),
        alpha=weight_of(section.alpha),
        mixed_fraction=weight_of(section.share),
        by=section.pairs if by_entropy else None,
        rule=section.entropy_rule,
        sharpness=section.sharpness,
        clean_too=section.clean_too,
        targets=config.distill.mixed_targets,
    )


def learned_ops(config: ExperimentConfig) -> tuple[str, ...]:
    """Returns the operations that a search may use.

    By default those are the fifteen of population based augmentation, and for texts all on tokens.
    """
    return allowed_ops(config) or PBA_OPS


def allowed_ops(config: ExperimentConfig) -> tuple[str, ...] | None:
    """Returns the operations that presets pick among: the config's, or all on tokens for texts; None for their own."""
    return config.augment.ops or (tuple(TOKEN_OPS) if reads_texts(config.data.name) else None)


def preset(config: ExperimentConfig, spec: AugmentationSpec) -> Schedule:
    """Returns the schedule of a preset or a file.

    Presets that pick among operations pick among the learned ones, and end with the base that learned policies end
    with: a comparison must not be one of crops and mirror images.

    Raises:
        InputError: the name, an argument or the file is wrong.
    """
    section = config.augment
    return build_augmentation(spec, ops=allowed_ops(config), ranges=section.ranges, base=section.base or None)


def configured_methods(config: ExperimentConfig, section: StudentSection) -> tuple[tuple[Phase, ...], list[Method]]:
    """Returns the phases of a student's training under distillation, and the methods of all of them.

    Raises:
        InputError: a method is wrong, or two of one name do not go together.
    """
    methods = build_methods([dict(method) for method in config.distill.methods])
    if not section.phases:
        return (), methods
    return resolved_phases(section.phases, methods, config.distill.label_weight)


def distiller(
    data: SeedData,
    student_section: StudentSection,
    student: nn.Module,
    teacher: nn.Module | Mapping[str, nn.Module] | None,
    indices: Tensor,
    *,
    made: bool = False,
) -> Distiller:
    """Returns the loss of one student: with the methods where there is a teacher, the labels alone where not.

    Args:
        data: of the run's seed.
        student_section: of the config.
        student: its network.
        teacher: the frozen one, several by role, or None.
        indices: int64 [N], the images of the source that are trained on.
        made: whether its images are made as networks see them, so that none is normalised.
    """
    config = data.config
    teachers = {student_section.teachers[0]: teacher} if isinstance(teacher, nn.Module) else dict(teacher or {})
    task = configured_task(config, student_section.train.label_smoothing)
    methods = configured_methods(config, student_section)[1] if teachers else []
    models = {"teacher": config.teacher.model, **{one.name: one.model for one in config.students}}
    if isinstance(data.source, TextData) and list(teachers) not in ([], ["teacher"]):
        rule = f"must be [teacher] for texts, got {list(student_section.teachers)}; leave teachers out"
        raise InputError(f'students "{student_section.name}": teachers {rule}')
    specs = {role: spec for role in teachers if (spec := data.spec(models[role])) is not None}
    # One alone has the role of the teacher, whatever its name.
    several, first = len(teachers) > 1, next(iter(teachers.values()), None)
    students = with_peers(data, student_section, student, first)
    # The example is tried on the device of a student, with every network.
    for network in (*teachers.values(), *(students.values() if isinstance(students, dict) else (students,))):
        network.to(data.device)
    own = data.spec(student_section.model)
    if isinstance(students, dict):
        peers = {peer.name: data.spec(peer.model) for peer in student_section.peers}
        inputs: Any = {role: spec for role, spec in {STUDENT: own, **peers}.items() if spec is not None}
    else:
        inputs = own
    example = _example(data)
    if made:
        example, specs, inputs = prepare(example, data.pixel_spec(student_section.model)), {}, None
    return Distiller(
        teachers if several else first,
        students,
        methods,
        label_weight=config.distill.label_weight if teachers else 1.0,
        task=task,
        teacher_input=specs if several else next(iter(specs.values()), None),
        student_input=inputs,
        example=example,
        generator=derive_seed(data.seed, "adapters", student_section.name),
        teacher_mode=config.distill.teacher_mode if teachers else "eval",
        stop_teacher=bool(teachers) and config.distill.stop_teacher,
        labels=_trained_labels(data.source.labels, indices),
    ).to(data.device)


def _example(data: SeedData) -> Any:
    """Returns two images, or two texts as each role sees them."""
    rows = data.train[:2]
    if not isinstance(data.source, TextData) or data.source.is_shared:
        return data.source.batch(rows)
    return Batch(data.source.batch(rows), views={"teacher": data.seen_by("teacher").batch(rows)})


def _trained_labels(labels: Tensor, indices: Tensor) -> Tensor:
    """Returns the class of each image of a source, int64 [N]; -1 where it is left out, 0 where there are no classes."""
    classes = labels if labels.dtype == torch.int64 and labels.ndim == 1 else torch.zeros(len(labels)).long()
    table = torch.full((len(labels),), -1)
    table[indices] = torch.where(classes[indices] == UNLABELLED, 0, classes[indices])
    return table


def configured_task(config: ExperimentConfig, label_smoothing: float = 0.0) -> Task:
    """Builds an experiment's task with the metrics of the config.

    Args:
        config: the experiment.
        label_smoothing: of the network that is trained, in classification.

    Raises:
        InputError: the task or a metric is unknown, or a setting of them is wrong.
    """
    task = build_task(config.task)
    if type(task) is Classification:
        task = Classification(label_smoothing=label_smoothing)
    return with_metrics(task, config.metrics, config.primary)


def configured_reward(config: ExperimentConfig) -> dict[str, Any] | None:
    """Returns the dependencies of rewards and validation numbers; None where they go by the task's own first metric.

    Raises:
        InputError: as in `configured_task`.
    """
    return reward_of(build_task(config.task), config.metrics, config.primary)


def at_bits(section: StudentSection, network: nn.Module) -> nn.Module:
    """Returns a student's network at the bits of its section; the network itself where there are none.

    Raises:
        InputError: a pattern of layers matches none, or a layer cannot be converted.
    """
    bits = section.quantise
    if bits is None:
        return network
    return quantise(
        network,
        {"weights": bits.weights, "activations": bits.activations},
        quantiser=bits.quantiser,
        keep=bits.keep,
        layers={pattern: own.model_dump() for pattern, own in bits.layers.items()},
    )


def configured_device(name: str) -> torch.device:
    """Returns the device that a config names; ``auto`` takes a GPU where there is one.

    Raises:
        InputError: the name is unknown, or torch cannot use it here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).split("\n")[0].rstrip(".")
        raise InputError(
            f"device must be auto, cpu or a device of this machine, got {name!r} ({why}); change device in the config, "
            "or give --set device=auto (of a study set.device, or experiment.device)"
        ) from error
    return device


def schedule_file(folder: Path) -> Path:
    """Returns the path of a search's schedule."""
    return folder / "schedule.json"
