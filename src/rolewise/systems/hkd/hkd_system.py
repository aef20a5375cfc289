"""Holistic knowledge: contrast of neighbourhoods in the batch beside single examples, plain distillation and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rolewise.data import read, split
from rolewise.data.image_sources import Source
from rolewise.distill import build_methods
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.models import build
from rolewise.seeds import derive_seed
from rolewise.systems.digit_bench import accuracy_of, trained
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

#: Images that are tested on, and the most that can be learned from.
_TESTED = {"digits": 497, "cifar100": 5000}
_MOST = {"digits": 1300, "cifar100": 50_000}


class HkdSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, initial weights, orders and negatives.
        data: set of images; ``cifar100``, of 16 x 16 pixels, is read from ROLEWISE_DATA.
        images: images that teacher and students learn from.
        epochs: epochs of every network.
        batch_size: examples of a step.
        width: channels of the student's first convolution, which double twice; the teacher has twice as many.
        negatives: negatives of each example.
        embedding: width of the embeddings.
        neighbours: size of a neighbourhood in the batch, the example itself among them.
        kd_weight: weight of plain distillation beside labels of weight 1.
        hkd_weight: weight of the contrast beside labels of weight 1.
        temperature: temperature of plain distillation.
    """

    seeds: Seeds = (0, 1, 2)
    data: Literal["digits", "cifar100"] = "digits"
    images: Annotated[int, Field(ge=100, le=50_000)] = 1000
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 100
    width: Annotated[int, Field(ge=1, le=512)] = 16
    negatives: Annotated[int, Field(ge=1, le=100_000)] = 256
    embedding: Annotated[int, Field(ge=1, le=10_000)] = 64
    neighbours: Annotated[int, Field(ge=2, le=10_000)] = 8
    kd_weight: Annotated[float, Field(gt=0)] = 1.0
    hkd_weight: Annotated[float, Field(gt=0)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 4.0


def check_hkd(settings: HkdSettings) -> None:
    """Raises InputError where there are too few images, or a neighbourhood is the whole batch."""
    most = _MOST[settings.data]
    if settings.images > most:
        raise InputError(f"images must be at most {most:,} of {settings.data}, got {settings.images:,}")
    if settings.neighbours >= settings.batch_size:
        raise InputError(
            f"neighbours must be fewer than batch_size, {settings.batch_size}, got {settings.neighbours}: every "
            "example would have one and the same neighbourhood"
        )


def hkd_rows(piece: Piece, settings: HkdSettings, context: JobContext) -> list[Row]:
    """Trains a teacher, and a student by labels, by plain distillation, and by each part of the contrast."""
    seed = piece.seed
    known, tested, classes = _images(settings, seed)

    def network(name: str, width: int) -> nn.Module:
        weights = derive_seed(seed, "hkd", "weights", name)
        size = (int(known[0].shape[2]), int(known[0].shape[3]))
        channels = int(known[0].shape[1])
        widths = [width, 2 * width, 4 * width]
        return build("cnn28", num_classes=classes, channels=channels, size=size, seed=weights, widths=widths)

    def learned(name: str, width: int, **taught: Any) -> nn.Module:
        context.report(name)
        given = {"seed": seed, "batch_size": settings.batch_size, "learning_rate": 0.005, **taught}
        return trained(network(name.partition(":")[0], width), known, settings.epochs, context, **given)

    teacher = learned("teacher", 2 * settings.width)
    found = [{"taught": "teacher", ACCURACY.key: accuracy_of(teacher, tested)}]
    for name, methods in _taught(settings).items():
        taught = {"teacher": teacher, "methods": build_methods(methods), "label_weight": 1.0} if methods else {}
        student = learned(f"student: {name}", settings.width, **taught)
        found.append({"taught": name, ACCURACY.key: accuracy_of(student, tested)})
    return found


def _taught(settings: HkdSettings) -> dict[str, list[Mapping[str, Any]]]:
    kd = {"name": "kd", "temperature": settings.temperature, "weight": settings.kd_weight}
    hkd = {
        "name": "hkd",
        "weight": settings.hkd_weight,
        "negatives": settings.negatives,
        "width": settings.embedding,
        "neighbours": settings.neighbours,
    }
    return {"labels": [], "kd": [kd], "single examples": [{**hkd, "holistic": 0.0}], "hkd": [hkd], "hkd, kd": [hkd, kd]}


def _images(settings: HkdSettings, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], int]:
    """Returns the images and labels that are learned from, those that are tested on, and the number of classes."""
    arguments: dict[str, Any] = {"size": 16} if settings.data == "cifar100" else {}
    data, tested = read(settings.data, **arguments), _TESTED[settings.data]
    draws = derive_seed(seed, "hkd", "images")

    def pair(source: Source, rows: Tensor) -> tuple[Tensor, Tensor]:
        return source.batch(rows).float() / 255, torch.as_tensor(source.labels[rows])

    if data.test is None:
        parts = split(data.train.labels, validation=settings.images, test=tested, seed=draws)
        return pair(data.train, parts.validation), pair(data.train, parts.test), len(data.train.classes)
    # The part that is tested on is the same for all seeds.
    first = split(data.train.labels, validation=settings.images, test=0, seed=draws).validation
    last = split(data.test.labels, validation=tested, test=0, seed=0).validation
    return pair(data.train, first), pair(data.test, last), len(data.train.classes)


def _claim(text: str, of: str, against: str) -> Claim:
    return Claim(text, {"taught": of}, {"taught": against}, ACCURACY.key)


HKD_SYSTEM = System(
    name="hkd",
    title="Holistic knowledge: neighbourhoods in the batch (HKD)",
    source="Zhou et al., Distilling Holistic Knowledge with Graph Neural Networks, ICCV 2021",
    origin="code",
    settings=HkdSettings,
    axes=("taught",),
    metrics=(ACCURACY,),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=hkd_rows,
    claims=(
        _claim("HKD is better than labels", "hkd", "labels"),
        _claim("The contrast of neighbourhoods adds to that of single examples", "hkd", "single examples"),
        _claim("HKD beside KD is better than KD alone", "hkd, kd", "kd"),
        _claim("KD is better than labels", "kd", "labels"),
    ),
    controls="Every student of a seed has the same teacher, images, initial weights, order and number of steps; the "
    "contrast of single examples is HKD without its graph.",
    check=check_hkd,
)
