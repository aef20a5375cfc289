"""A reconstruction of PWKD: a student learns from narrow to whole parts of its teacher, in stages with restarts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.distill import build_methods
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.models import build
from rolewise.seeds import derive_seed
from rolewise.systems.digit_bench import (
    TEACHER_WIDTHS,
    accuracy_of,
    digit_bench,
    minimised,
    small_network,
    trained,
)
from rolewise.systems.pwkd.slimmable import PartOf, SlimmableCNN, kept_channels
from rolewise.systems.system import Piece, Row, Seeds, System, SystemSettings, claim_between

_ONE, _RESTARTS = "one stage", "restarts"


class PwkdSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images and weights.
        parts: widths of the teacher's parts as fractions of the whole, ascending, the last one 1; one for each stage.
        images: labelled images of the student.
        epochs: epochs of the student in all its stages together.
        teacher_epochs: epochs of the teacher, all its parts together.
        learning_rate: of Adam for the student, at the beginning of each stage; the teacher has half of it.
        temperature: temperature of distillation.
        weight: weight of distillation; the labels have the rest.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    parts: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=2, max_length=20)] = (
        0.25,
        0.5,
        0.75,
        1.0,
    )
    images: Annotated[int, Field(ge=20, le=900)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 160
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    temperature: Annotated[float, Field(gt=0)] = 4.0
    weight: Annotated[float, Field(gt=0, le=1)] = 0.9


def check_slimming(settings: PwkdSettings) -> None:
    """Raises InputError where a part has no channel, parts do not ascend to the whole, or stages are unequal."""
    kept_channels(TEACHER_WIDTHS, settings.parts)
    if settings.epochs % len(settings.parts):
        raise InputError(
            f"epochs must be a multiple of {len(settings.parts)}, the stages, so that all are equally long, "
            f"got {settings.epochs}"
        )


def train_parts(
    network: SlimmableCNN, examples: tuple[Tensor, Tensor], settings: PwkdSettings, seed: int, context: JobContext
) -> None:
    """Trains all parts of a network at once: the loss of a batch is the sum of the parts' cross-entropies.

    Args:
        network: it is trained in place, and left in eval mode.
        examples: images and labels.
        settings: of the system.
        seed: of the order.
        context: the surroundings; a stop ends the training.
    """

    def loss(batch: Batch) -> Tensor:
        parts = [F.cross_entropy(network(batch.inputs, part), batch.targets) for part in range(len(settings.parts))]
        return torch.stack(parts).sum()

    rate = settings.learning_rate / 2
    minimised(network, loss, examples, settings.teacher_epochs, context, seed=seed, learning_rate=rate)


def part_rows(piece: Piece, settings: PwkdSettings, context: JobContext) -> list[Row]:
    """Trains a slimmable teacher, and a student by each course through its parts."""
    seed, stages = piece.seed, len(settings.parts)
    bench = digit_bench(seed, settings.images)
    teacher = build(
        SlimmableCNN,
        num_classes=10,
        channels=1,
        size=(8, 8),
        seed=derive_seed(seed, "slimmable", "weights"),
        widths=list(TEACHER_WIDTHS),
        parts=list(settings.parts),
    )
    assert isinstance(teacher, SlimmableCNN)
    context.report("teacher")
    train_parts(teacher, bench.pool, settings, derive_seed(seed, "slimmable", "order"), context)
    parts: list[nn.Module] = [PartOf(teacher, number).eval() for number in range(stages)]
    courses: dict[tuple[str, str], Sequence[nn.Module | None]] = {
        ("labels", _ONE): [None],
        ("labels", _RESTARTS): [None] * stages,
        ("whole teacher", _ONE): parts[-1:],
        ("whole teacher", _RESTARTS): parts[-1:] * stages,
        ("partial to whole", _RESTARTS): parts,
        ("whole to partial", _RESTARTS): parts[::-1],
    }
    methods = build_methods([{"name": "kd", "temperature": settings.temperature, "weight": settings.weight}])
    found: list[Row] = []
    for (taught, schedule), course in courses.items():
        context.report(f"{taught}, {schedule}")
        student = small_network(seed, "student")
        for stage, part in enumerate(course):
            trained(
                student,
                bench.few,
                settings.epochs // len(course),
                context,
                seed=derive_seed(seed, "stage", stage),
                teacher=part,
                learning_rate=settings.learning_rate,
                **({} if part is None else {"methods": methods, "label_weight": 1 - settings.weight}),
            )
        found.append({"taught": taught, "schedule": schedule, ACCURACY.key: accuracy_of(student, bench.test)})
    for width, part in zip(settings.parts, parts, strict=True):
        own = {"taught": f"teacher of width {width:g}", "schedule": _ONE}
        found.append({**own, ACCURACY.key: accuracy_of(part, bench.test)})
    return found


_claim = partial(claim_between, ("taught", "schedule"))
_PWKD = ("partial to whole", _RESTARTS)
PWKD = System(
    name="pwkd",
    title="From partial to whole: stages with ever wider parts of the teacher (PWKD)",
    source="Zhang et al., Partial to Whole Knowledge Distillation, 2021",
    origin="reconstruction",
    settings=PwkdSettings,
    axes=("schedule", "taught"),
    metrics=(ACCURACY,),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=part_rows,
    claims=(
        _claim("Partial to whole is better than the whole teacher in one stage", _PWKD, ("whole teacher", _ONE)),
        _claim("It is better than the whole teacher with the same restarts", _PWKD, ("whole teacher", _RESTARTS)),
        _claim("It is better than whole to partial", _PWKD, ("whole to partial", _RESTARTS)),
        _claim(
            "With the whole teacher, restarts alone are better than one stage",
            ("whole teacher", _RESTARTS),
            ("whole teacher", _ONE),
        ),
        _claim("In one stage, the whole teacher is better than labels", ("whole teacher", _ONE), ("labels", _ONE)),
    ),
    controls="Every student of a seed begins with the same weights, and has the same images, number of steps and "
    "teacher; restarts begin the learning rate and the optimiser anew at the same epochs, whoever teaches.",
    check=check_slimming,
)
