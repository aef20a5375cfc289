"""Distillation in one call: plain networks and examples in, a trained student and its history out."""

from __future__ import annotations

import copy
import inspect
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from rolewise.augment import Policy, Schedule, build_schedule
from rolewise.batch import Batch
from rolewise.config.phase_sections import Phase
from rolewise.config.training_sections import OptimizerSettings, RateSchedule, TrainSettings
from rolewise.distill import Distiller
from rolewise.distill.listed_methods import Methods, methods_of
from rolewise.distill.single_process import check_one_rank
from rolewise.errors import InputError, near
from rolewise.files import AnyPath, as_path
from rolewise.inputs import InputSpec
from rolewise.networks import device_of
from rolewise.tasks import Task
from rolewise.train.batch_order import check_shuffled
from rolewise.train.distillation_folder import bind_folder, fit_in, lines_of, settings_in, settings_of_folder, taught_by
from rolewise.train.distilled import Distilled
from rolewise.train.evaluate import Metrics
from rolewise.train.given_examples import check_augmentable, examples_of
from rolewise.train.phase_course import resolved_phases
from rolewise.train.trainee import Trainee

#: Learning rates where none is given.
_RATES = {"sgd": 0.1, "adam": 0.001, "adamw": 0.001}


def distill(
    teacher: nn.Module | None,
    student: nn.Module,
    train: Any,
    val: Any = None,
    *,
    epochs: int,
    methods: Methods | None = None,
    label_weight: float | None = None,
    batch_size: int = 128,
    optimizer: Literal["sgd", "adam", "adamw"] | OptimizerSettings = "adam",
    learning_rate: float | None = None,
    schedule: str | RateSchedule = "cosine",
    augmentation: str | dict[str, Any] | Policy | Schedule | None = None,
    teacher_augmentation: str | dict[str, Any] | Policy | Schedule | None = None,
    view: Literal["shared", "clean", "own"] = "shared",
    teacher_input: InputSpec | None = None,
    student_input: InputSpec | None = None,
    input_name: str | None = None,
    label_name: str | None = None,
    task: Task | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    folder: AnyPath | None = None,
    phases: Sequence[Phase] = (),
    on_epoch: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> Distilled:
    """Distils a teacher into a student: trains it, and evaluates both.

    It makes a `rolewise.Distiller`, a `rolewise.Trainee` and calls `rolewise.fit`; the student is trained in place.

    Args:
        teacher: any network, which is frozen; None to train the student on labels alone.
        student: any network.
        train: a DataLoader or a data set of (images, labels) or of mappings; a pair of tensors, images [N, ...] and
            labels [N]; images alone, with ``label_weight=0``; or a `rolewise.data.ImageData`. Images of uint8
            [N, C, H, W] can be augmented; all others are given to the networks as they are.
        val: examples in the same forms, for the student's metric after each epoch, and the teacher's; None for neither.
        epochs: passes over the examples.
        methods: as of a Distiller; ``kd`` by default.
        label_weight: weight of the labels' own loss; 0.1 by default, 1 without a teacher.
        batch_size: B; a DataLoader has its own.
        optimizer: its name, or all of its settings.
        learning_rate: the highest; by default 0.1 for ``sgd`` and 0.001 for ``adam`` and ``adamw``.
        schedule: the course of the learning rate: its name, or all of its settings.
        augmentation: of the student's images: a preset's name, a policy, or a schedule over training.
        teacher_augmentation: of the teacher's, under the view ``own``.
        view: the teacher's images: ``shared`` (the student's), ``clean`` or ``own``.
        teacher_input: the input that the teacher expects. Images of uint8 are given as pixels in [0, 1] without it,
            others as they come.
        student_input: the input that the student expects, likewise.
        input_name: the inputs' key in batches that are mappings (see `rolewise.Distiller`).
        label_name: the labels' key in such batches.
        task: the kind of prediction; classification by default.
        seed: of the order, of augmentation and of learned parts. The networks have their weights already.
        device: that both networks are moved to; by default the student's.
        folder: gets the record, checkpoints and weights; called again with it, the training resumes from there. It is
            that of the settings, the teacher's weights, and the source of losses that are not Rolewise's.
            Without it nothing is kept but the result.
        phases: parts of the training, one after another, each with its own methods, weights and trained parts.
        on_epoch: called with a line after each epoch, such as ``print``.
        settings: others of `rolewise.train.TrainSettings`, such as ``clip_norm=1.0``, ``ema=0.999`` or
            ``precision="auto"``, which is chosen by the time of a few steps and kept in the folder.

    Returns:
        The student, its history, and what both networks reach.

    Raises:
        InputError: something is of another kind, or the folder is that of another training.
        Interrupted: Ctrl-C was pressed; with a folder there is a checkpoint.
        NonFiniteError: the training failed.
    """
    way = "give a rolewise.Trainee ranks=rolewise.train.Ranks.of_group(), and call rolewise.fit"
    check_one_rank("rolewise.distill", way)
    place = device_of(student) if device is None else torch.device(device)
    chosen = _settings(epochs, batch_size, optimizer, learning_rate, schedule, settings)
    reading: dict[str, Any] = {"batch_size": chosen.batch_size, "device": place, "names": (input_name, label_name)}
    examples = examples_of(train, "train", seed=seed, **reading)
    held_out = None if val is None else examples_of(val, "val", seed=None, **reading)
    schedules = {"augmentation": _schedule(augmentation), "teacher_augmentation": _schedule(teacher_augmentation)}
    check_augmentable(examples, augmentation, teacher_augmentation, view)
    if examples.pixels is not None:
        teacher_input, student_input = teacher_input or examples.pixels, student_input or examples.pixels
    student.to(place)
    if teacher is not None:
        teacher.to(place)
    labels_weigh = (1.0 if teacher is None else 0.1) if label_weight is None else label_weight
    listed = methods_of((() if teacher is None else "kd") if methods is None else methods, taught=teacher is not None)
    parts, united = resolved_phases(phases, listed, labels_weigh)
    distiller = Distiller(
        teacher,
        student,
        united if parts else listed,
        label_weight=labels_weigh,
        teacher_input=teacher_input if teacher is not None else None,
        student_input=student_input,
        example=_few(examples.example()),
        generator=seed,
        task=task,
        examples=examples.number,
        labels=examples.labels,
        input_name=input_name,
        label_name=label_name,
    )

    def training(loss: Distiller, resolved: TrainSettings) -> Trainee:
        given: dict[str, Any] = {"settings": resolved, "seed": seed, "device": place, "phases": parts}
        if examples.source is None:
            assert examples.feed is not None
            check_shuffled(resolved.batches)
            return Trainee(loss, examples.feed, **given)
        return Trainee(
            loss,
            examples.source,
            examples.indices,
            augmentation=schedules["augmentation"] or build_schedule("none"),
            teacher_augmentation=schedules["teacher_augmentation"],
            view=view,
            **given,
        )

    def measured(network: nn.Module, spec: InputSpec | None) -> Metrics | None:
        return None if held_out is None else held_out.evaluate(network, spec, distiller.task)

    bound = {
        "settings": settings_of_folder(chosen),
        **taught_by(teacher, distiller.methods),
        "label_weight": distiller.label_weight,
        "seed": seed,
        "examples": examples.number,
        "augmentation": {key: _plain(value) for key, value in schedules.items()},
        "view": view,
        **({"phases": [_described(phase) for phase in parts]} if parts else {}),
    }
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(temporary) if folder is None else as_path(folder, "folder")
        bind_folder(where, bound)
        teacher_metrics = measured(teacher, teacher_input) if teacher is not None else None
        trainee = training(distiller, settings_in(where, chosen, lambda one: training(copy.deepcopy(distiller), one)))
        validate = (
            None if held_out is None else lambda: held_out.evaluate(trainee.model, student_input, distiller.task).first
        )
        fit_in(where, trainee, kept=folder is not None, on_epoch=on_epoch, validate=validate)
        history = lines_of(where / "record.jsonl")
        seconds = sum(line["seconds"] for line in lines_of(where / "timing.jsonl"))
    model = trainee.model.eval()
    return Distilled(
        student=model,
        teacher=teacher,
        history=history,
        metrics=measured(model, student_input),
        teacher_metrics=teacher_metrics,
        info=distiller.task.metrics[0],
        seconds=seconds,
        folder=None if folder is None else where,
        settings=trainee.settings,
    )


def _settings(
    epochs: int,
    batch_size: int,
    optimizer: str | OptimizerSettings,
    learning_rate: float | None,
    schedule: str | RateSchedule,
    others: dict[str, Any],
) -> TrainSettings:
    """Returns the settings of the training."""
    for name in others.keys() - TrainSettings.model_fields.keys():
        known = {*inspect.signature(distill).parameters, *TrainSettings.model_fields} - {"settings"}
        raise InputError(f"no such setting of distill: {name!r}{near(name, known)}")
    if not isinstance(optimizer, OptimizerSettings):
        rate = _RATES.get(optimizer, 0.1) if learning_rate is None else learning_rate
        optimizer = OptimizerSettings(name=optimizer, learning_rate=rate)
    elif learning_rate is not None:
        raise InputError("learning_rate must be left out where the optimiser's settings are given; it is one of them")
    if not isinstance(schedule, RateSchedule):
        schedule = RateSchedule(name=schedule)
    return TrainSettings(epochs=epochs, batch_size=batch_size, optimizer=optimizer, schedule=schedule, **others)


def _schedule(augmentation: Any) -> Schedule | None:
    if augmentation is None or isinstance(augmentation, Schedule):
        return augmentation
    if isinstance(augmentation, (str, dict, Path)):
        return build_schedule(augmentation)
    return Schedule.constant(augmentation)


def _plain(schedule: Schedule | None) -> Any:
    return None if schedule is None else schedule.to_json()


def _described(phase: Phase) -> dict[str, Any]:
    """Returns a phase as plain values, its methods in words."""
    methods = [f"{method.name}: {method.info.name} {method.given()}" for method in phase.methods or ()]
    return {**phase.model_dump(mode="json", exclude={"methods"}), "methods": methods}


def _few(batch: Batch) -> Batch | None:
    """Returns the first two examples of a batch, to try the methods on; None where it cannot be cut."""

    def cut(value: Any) -> Any:
        return {key: part[:2] for key, part in value.items()} if isinstance(value, dict) else value[:2]

    inputs = batch.inputs
    if batch.outputs or batch.views:
        return batch
    if not isinstance(inputs, (torch.Tensor, dict, list)):
        return None
    return Batch(cut(inputs), None if batch.targets is None else cut(batch.targets))
