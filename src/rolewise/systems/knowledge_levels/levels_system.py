"""The parts of a teacher's knowledge, and which of them a student gains by, on data whose classes stand in groups."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.models import build
from rolewise.seeds import derive_seed, generator
from rolewise.systems.digit_bench import accuracy_of, trained
from rolewise.systems.knowledge_levels.soft_targets import (
    Targets,
    block_structure,
    both_alone,
    confidence_alone,
    distillation_of,
    largest_outputs,
    relations_alone,
    smoothed_labels,
    teacher_outputs,
)
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

BLOCKS = MetricInfo("block_structure", "block structure of logits")
#: Examples that are tested on, of each class, and that the teacher learns from.
_TESTED, _TAUGHT = 50, 100


class LevelsSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own classes, examples and weights.
        groups: groups of classes.
        classes: classes of each group.
        width: dimensions of an example.
        cosine: cosine between the centres of two classes of one group; between groups it is 0.
        noise: standard deviation of an example around its class's centre, in all dimensions together.
        examples: examples of each class that the student learns from.
        hidden: units of the student's hidden layer.
        epochs: epochs of teacher and student.
        temperature: temperature of distillation.
        share: weight of what is taught; the labels have the rest.
        smoothing: part of the labels that label smoothing spreads.
        power: power of the cosine between classes.
        spread: spread of the relations between classes.
        largest: share of the classes that keep their probability.
    """

    seeds: Seeds = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    groups: Annotated[int, Field(ge=2, le=100)] = 5
    classes: Annotated[int, Field(ge=2, le=100)] = 4
    width: Annotated[int, Field(ge=4, le=10_000)] = 40
    cosine: Annotated[float, Field(gt=0, lt=1)] = 0.7
    noise: Annotated[float, Field(gt=0)] = 1.3
    examples: Annotated[int, Field(ge=1, le=10_000)] = 10
    hidden: Annotated[int, Field(ge=1, le=10_000)] = 32
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    temperature: Annotated[float, Field(gt=0)] = 3.0
    share: Annotated[float, Field(gt=0, le=1)] = 0.7
    smoothing: Annotated[float, Field(gt=0, lt=1)] = 0.3
    power: Annotated[float, Field(gt=0)] = 0.5
    spread: Annotated[float, Field(gt=0)] = 0.3
    largest: Annotated[float, Field(gt=0, lt=1)] = 0.25


def check_levels(settings: LevelsSettings) -> None:
    """Raises InputError where the classes' centres do not fit into the dimensions, or all outputs would be kept."""
    needed = settings.groups * (settings.classes + 1)
    if settings.width < needed:
        raise InputError(f"width must be at least {needed}, a dimension for each group and class, got {settings.width}")


def levels_rows(piece: Piece, settings: LevelsSettings, context: JobContext) -> list[Row]:
    """Trains a teacher, and a student by each part of what it knows."""
    kinds = settings.groups * settings.classes
    groups = torch.arange(kinds) // settings.classes
    centres = _centres(settings, piece.seed)

    def examples(name: str, count: int) -> tuple[Tensor, Tensor]:
        draws = generator(piece.seed, "levels", "examples", name)
        labels = torch.arange(kinds).repeat(count)
        noise = torch.randn(len(labels), settings.width, generator=draws) * settings.noise / math.sqrt(settings.width)
        return (centres[labels] + noise)[:, None, None], labels

    def network(name: str, hidden: int) -> nn.Sequential:
        seed = derive_seed(piece.seed, "levels", "weights", name)
        return build(_layers, num_classes=kinds, seed=seed, width=settings.width, hidden=hidden)  # type: ignore[return-value]

    known, tested = examples("student", settings.examples), examples("test", _TESTED)
    teacher = network("teacher", 8 * settings.hidden)
    trained(teacher, examples("teacher", _TAUGHT), settings.epochs, context, seed=piece.seed, learning_rate=0.005)
    found = []
    for name, targets in _parts(settings, teacher, kinds).items():
        context.report(name)
        student = network("student", settings.hidden)
        taught: dict[str, Any] = {}
        if targets is not None:
            own = 1.0 if name == "smoothing" else settings.temperature
            loss = distillation_of(targets, own, settings.share)
            taught = {"methods": loss, "label_weight": 1 - settings.share}
        trained(
            student,
            known,
            settings.epochs,
            context,
            seed=piece.seed,
            teacher=None if targets is None else teacher,
            learning_rate=0.01,
            **taught,
        )
        found.append(_row(name, student, tested, groups))
    return [*found, _row("teacher", teacher, tested, groups)]


def _layers(num_classes: int, width: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))


def _parts(settings: LevelsSettings, teacher: nn.Sequential, kinds: int) -> dict[str, Targets | None]:
    last = teacher[-1]
    assert isinstance(last, nn.Linear)
    confidence = confidence_alone(settings.temperature)
    relations = relations_alone(last.weight.detach(), settings.power, settings.spread)
    kept = min(kinds - 1, max(1, round(settings.largest * kinds)))
    return {
        "labels": None,
        "smoothing": smoothed_labels(settings.smoothing),
        "pt": confidence,
        "sim": relations,
        "pt+sim": both_alone(confidence, relations),
        "topk": largest_outputs(kept, settings.temperature),
        "kd": teacher_outputs(settings.temperature),
    }


def _centres(settings: LevelsSettings, seed: int) -> Tensor:
    """Returns the centres [K, D] of classes: unit vectors with the stated cosine within a group, and 0 across."""
    draws = generator(seed, "levels", "centres")
    count = settings.groups * (settings.classes + 1)
    axes, _ = torch.linalg.qr(torch.randn(settings.width, count, generator=draws))
    shared, own = axes.T[: settings.groups], axes.T[settings.groups :]
    of_group = shared.repeat_interleave(settings.classes, dim=0)
    centres: Tensor = math.sqrt(settings.cosine) * of_group + math.sqrt(1 - settings.cosine) * own
    return centres


@torch.no_grad()
def _row(name: str, network: nn.Module, tested: tuple[Tensor, Tensor], groups: Tensor) -> Row:
    logits = network.eval()(tested[0])
    return {
        "taught": name,
        ACCURACY.key: accuracy_of(network, tested),
        BLOCKS.key: block_structure(logits, tested[1], groups),
    }


def _claim(text: str, of: str, against: str, metric: MetricInfo = ACCURACY) -> Claim:
    return Claim(text, {"taught": of}, {"taught": against}, metric.key)


KNOWLEDGE_LEVELS = System(
    name="knowledge_levels",
    title="Universe, domain and instance: the parts of a teacher's knowledge",
    source="Tang et al., Understanding and Improving Knowledge Distillation, 2020",
    origin="reconstruction",
    settings=LevelsSettings,
    axes=("taught",),
    metrics=(ACCURACY, BLOCKS),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=levels_rows,
    claims=(
        _claim(
            "The student's logits have the classes' groups in them under KD, more than under smoothing",
            "kd",
            "smoothing",
            BLOCKS,
        ),
        _claim(
            "They have them under relations of classes alone, more than under smoothing", "sim", "smoothing", BLOCKS
        ),
        _claim(
            "The teacher's confidence alone leaves more of the groups than smoothing does", "pt", "smoothing", BLOCKS
        ),
        _claim("Smoothing alone is better than labels", "smoothing", "labels"),
        _claim("The teacher's confidence alone is better than labels", "pt", "labels"),
        _claim("Relations of classes alone are better than labels", "sim", "labels"),
        _claim("The whole of the teacher's outputs is better than relations and confidence", "kd", "pt+sim"),
        _claim("The largest outputs alone are better than the whole", "topk", "kd"),
    ),
    controls="Every student begins with the same weights and sees the same examples in one order; smoothing has the "
    "weight of what is taught.",
    check=check_levels,
)
