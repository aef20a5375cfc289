"""A reconstruction of distillation beyond compression: nine methods where labels are wrong, uneven, or others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rolewise.distill import build_methods
from rolewise.errors import InputError
from rolewise.instruments.corruptions.noise import gaussian_noise
from rolewise.instruments.features import features_in
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.models import build
from rolewise.seeds import derive_seed, generator
from rolewise.systems.beyond_compression.hard_data import (
    Examples,
    of_classes,
    with_uneven_classes,
    with_wrong_labels,
)
from rolewise.systems.digit_bench import accuracy_of, digit_bench, small_network, trained
from rolewise.systems.joint_training import train_together
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

CORRUPTED = MetricInfo("corrupted_accuracy", "accuracy on noisy pictures", "fraction")
_CLASSES, _KNOWN = 10, 4
_WIDTHS = (16, 32)
LABELS = "labels"
#: The methods by their sections, and the labels' weight; weights and temperatures are the methods' own defaults.
METHODS: dict[str, tuple[list[dict[str, Any]], float]] = {
    LABELS: ([], 1.0),
    "kd": ([{"name": "kd"}], 0.1),
    "bss": ([{"name": "kd"}, {"name": "bss"}], 0.1),
    "fitnets": ([{"name": "fitnets"}], 1.0),
    "fsp": ([{"name": "fsp"}], 1.0),
    "attention": ([{"name": "attention"}], 1.0),
    "similarity": ([{"name": "similarity"}], 1.0),
    "rkd": ([{"name": "rkd"}], 1.0),
    "dml": (
        [
            {"method": "kd", "name": f"kd_{one}", "student": one, "teacher": other, "temperature": 1.0, "weight": 1.0}
            for one, other in (("student", "peer"), ("peer", "student"))
        ],
        1.0,
    ),
    "one": ([{"name": "one"}], 1.0),
}
NINE = tuple(name for name in METHODS if name != LABELS)
MethodName = Literal["labels", "kd", "bss", "fitnets", "fsp", "attention", "similarity", "rkd", "dml", "one"]
Condition = Literal["clean", "wrong labels", "uneven classes", "new classes"]


class BeyondSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, wrong labels and weights.
        conditions: training sets; under ``new classes`` a linear probe learns the other half of the classes.
        methods: methods that are compared; four of them are quick: ``labels``, ``kd``, ``similarity`` and ``dml``.
        images: labelled images of teacher and student.
        wrong: share of the labels that are wrong.
        least: share of its images that the last class keeps where classes are uneven.
        corruption: standard deviation of the noise of noisy pictures, whose pixels are in [0, 1].
        epochs: epochs of the student.
        teacher_epochs: epochs of the teacher, which is not to learn the wrong labels by heart.
        probe_epochs: epochs of a linear probe.
    """

    seeds: Seeds = (0, 1, 2)
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)] = (
        "clean",
        "wrong labels",
        "uneven classes",
        "new classes",
    )
    methods: Annotated[tuple[MethodName, ...], Field(min_length=2)] = tuple(METHODS)  # type: ignore[arg-type]
    images: Annotated[int, Field(ge=40, le=900)] = 500
    wrong: Annotated[float, Field(gt=0, lt=0.9)] = 0.4
    least: Annotated[float, Field(gt=0, lt=1)] = 0.1
    corruption: Annotated[float, Field(gt=0)] = 0.3
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 15
    probe_epochs: Annotated[int, Field(ge=1, le=10_000)] = 30


def check_beyond(settings: BeyondSettings) -> None:
    """Raises InputError where something is named twice, or the control is missing."""
    for name, values in (("conditions", settings.conditions), ("methods", settings.methods)):
        if len(set(values)) < len(values):
            raise InputError(f"{name} must differ from one another, got {list(values)}")
    if LABELS not in settings.methods:
        raise InputError(f"methods must have {LABELS}, which others are compared with, got {list(settings.methods)}")


def beyond_pieces(settings: BeyondSettings) -> list[Piece]:
    """Returns a piece for each condition and seed."""
    return [Piece(seed, {"condition": condition}) for condition in settings.conditions for seed in settings.seeds]


def beyond_rows(piece: Piece, settings: BeyondSettings, context: JobContext) -> list[Row]:
    """Trains a teacher under a condition, and a student by each method."""
    seed, condition = piece.seed, piece.levels["condition"]
    bench = digit_bench(seed, settings.images)
    known = known_examples(condition, bench.few, settings, seed)
    teacher = small_network(seed, "teacher", widths=(32, 64))
    trained(teacher, known, settings.teacher_epochs, context, seed=seed, learning_rate=0.01)
    draws = generator(seed, "beyond compression", "noise")
    noisy = gaussian_noise(bench.test[0], settings.corruption, draws).clamp(0, 1), bench.test[1]
    found = []
    for name in settings.methods:
        context.report(name)
        student = taught(name, teacher, known, settings.epochs, seed, context)
        if condition == "new classes":
            scores = probed(student, bench.few, (bench.test, noisy), settings.probe_epochs, seed, context)
        else:
            scores = [accuracy_of(student, examples) for examples in (bench.test, noisy)]
        found.append({"method": name, **dict(zip((ACCURACY.key, CORRUPTED.key), scores, strict=True))})
    return found


def known_examples(condition: str, examples: Examples, settings: BeyondSettings, seed: int) -> Examples:
    """Returns the examples that teacher and student learn from under a condition.

    Args:
        condition: one of `BeyondSettings.conditions`.
        examples: images and labels as they are.
        settings: of the system.
        seed: of the wrong labels.
    """
    if condition == "wrong labels":
        draws = generator(seed, "beyond compression", "wrong labels")
        return with_wrong_labels(examples, settings.wrong, _CLASSES, draws)
    if condition == "uneven classes":
        return with_uneven_classes(examples, settings.least, _CLASSES)
    return of_classes(examples, 0, _KNOWN) if condition == "new classes" else examples


def taught(name: str, teacher: nn.Module, known: Examples, epochs: int, seed: int, context: JobContext) -> nn.Module:
    """Trains a student by a method and returns it, in eval mode.

    Args:
        name: one of `METHODS`.
        teacher: network that teaches where the method has one.
        known: examples to learn from.
        epochs: passes over them.
        seed: of the repetition.
        context: the surroundings.
    """
    sections, label_weight = METHODS[name]
    if name == "one":
        # The ramp of its divergences, 80 of 300 epochs in its paper, takes about the same part of this training.
        sections = [{**sections[0], "rise": epochs / 3}]
        weights = derive_seed(seed, "beyond compression", "branches")
        arguments = {"base": "small_cnn", "branches": 3, "arguments": {"widths": list(_WIDTHS)}}
        student = build("branched", num_classes=_CLASSES, channels=1, size=(8, 8), seed=weights, **arguments)  # type: ignore[arg-type]
    else:
        student = small_network(seed, "student", widths=_WIDTHS)
    students = {"student": student}
    if name == "dml":
        students["peer"] = small_network(seed, "peer", widths=_WIDTHS)
    alone = name in (LABELS, "dml", "one")
    methods = build_methods(sections)
    train_together(
        None if alone else teacher, students, methods, known, epochs, context, seed=seed, label_weight=label_weight
    )
    return student


def probed(
    network: nn.Module,
    examples: Examples,
    tests: tuple[Examples, ...],
    epochs: int,
    seed: int,
    context: JobContext,
) -> list[float]:
    """Trains a linear probe of the classes that a network was not trained on, and returns its accuracies.

    Args:
        network: its features before the last layer are probed, as they are.
        examples: images and labels of all classes; the probe learns from those of the new ones.
        tests: images and labels of all classes; those of the new ones are judged.
        epochs: passes of the probe.
        seed: of its weights and order.
        context: the surroundings.
    """

    def features(given: Examples) -> tuple[Tensor, Tensor]:
        images, labels = of_classes(given, _KNOWN + 1, _CLASSES - 1)
        with torch.no_grad():
            return features_in(network, images, ["penultimate"])["penultimate"], labels

    known = features(examples)
    weights = derive_seed(seed, "beyond compression", "probe")
    probe = build(_probe, num_classes=_CLASSES, seed=weights, width=known[0].shape[1])
    trained(probe, known, epochs, context, seed=seed)
    return [accuracy_of(probe, features(test)) for test in tests]


def _probe(num_classes: int, width: int) -> nn.Module:
    return nn.Linear(width, num_classes)


def _claim(text: str, of: str | tuple[str, ...], condition: str, metric: MetricInfo = ACCURACY) -> Claim:
    sides = ({"method": of, "condition": condition}, {"method": LABELS, "condition": condition})
    return Claim(text, *sides, metric.key)


BEYOND_COMPRESSION = System(
    name="beyond_compression",
    title="Distillation beyond compression: wrong labels, uneven classes, noise and transfer",
    source="Sarfraz, Arani and Zonooz, Knowledge Distillation Beyond Model Compression, ICPR 2020",
    origin="reconstruction",
    settings=BeyondSettings,
    axes=("condition", "method"),
    metrics=(ACCURACY, CORRUPTED),
    pieces=beyond_pieces,
    train=beyond_rows,
    claims=(
        _claim("Where labels are wrong, distillation (kd) is better than labels", "kd", "wrong labels"),
        _claim("Where labels are wrong, the nine methods are better than labels, on the mean", NINE, "wrong labels"),
        _claim("Where labels are wrong, peers without a teacher (dml) are better than labels", "dml", "wrong labels"),
        _claim("Where classes are uneven, distillation (kd) is better than labels", "kd", "uneven classes"),
        _claim("On noisy pictures the nine methods are better than labels, on the mean", NINE, "clean", CORRUPTED),
        _claim("A linear probe of new classes is better after the nine methods, on the mean", NINE, "new classes"),
        _claim("On clean data distillation (kd) is better than labels", "kd", "clean"),
    ),
    controls="Teacher and students learn from the same images and labels; every student has as many steps in the same "
    "order, and the same first weights but for the branches of one.",
    check=check_beyond,
)
