"""Holistic knowledge: distillation with a graph of the batch, against its parts and other ways to contrast examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from rolewise.data import read, stratified_order
from rolewise.distill import Method, configure
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.models import build
from rolewise.seeds import derive_seed
from rolewise.systems.digit_bench import accuracy_of, trained
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

#: The reader's settings of each set, how many images it has, and how many of them are tested on.
_SETS: dict[str, tuple[dict[str, Any], int, int]] = {
    "cifar100": ({"size": 16}, 50_000, 5000),
    "digits": ({}, 1797, 497),
}
#: Channels of the convolutions of student and teacher, and their learning rates.
_WIDTHS = {"student": (12, 24, 48), "teacher": (32, 64, 128)}
_RATES = {"student": 0.01, "teacher": 0.005}


class HkdSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, weights and orders.
        data: set of images; ``cifar100``, at 16x16, is read from ROLEWISE_DATA, ``digits`` are in the package.
        images: images of the student.
        teacher_images: images of the teacher, those of the student among them.
        epochs: epochs of a student.
        teacher_epochs: epochs of the teacher.
        batch_size: images of a step, and of a graph.
        width: width of embeddings.
        neighbours: an image's neighbours in the graph, itself among them.
        negatives: images of other classes that each is contrasted with.
        kd_weight: weight of distillation beside the labels, whose weight is 1.
        hkd_weight: weight of HKD.
        crd_weight: weight of contrastive representation distillation, which stands in HKD's place.
    """

    seeds: Seeds = (0, 1, 2, 3)
    data: Literal["cifar100", "digits"] = "cifar100"
    images: Annotated[int, Field(ge=100, le=50_000)] = 10_000
    teacher_images: Annotated[int, Field(ge=100, le=50_000)] = 20_000
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 5
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 100
    width: Annotated[int, Field(ge=1, le=10_000)] = 64
    neighbours: Annotated[int, Field(ge=2, le=10_000)] = 8
    negatives: Annotated[int, Field(ge=1, le=50_000)] = 128
    kd_weight: Annotated[float, Field(gt=0)] = 1.0
    hkd_weight: Annotated[float, Field(gt=0)] = 3.0
    crd_weight: Annotated[float, Field(gt=0)] = 0.8


def check_graph(settings: HkdSettings) -> None:
    """Raises InputError where the images do not suffice, or a graph has no more images than each has neighbours."""
    _, examples, tested = _SETS[settings.data]
    if not settings.images <= settings.teacher_images <= examples - tested:
        raise InputError(
            f"teacher_images must be from {settings.images}, those of the student, to {examples - tested}, the images "
            f"of {settings.data} that are not tested on, got {settings.teacher_images}"
        )
    if settings.neighbours >= settings.batch_size:
        raise InputError(
            f"neighbours must be below {settings.batch_size}, the images of a graph, got {settings.neighbours}: all "
            "would have the same mean"
        )


def hkd_rows(piece: Piece, settings: HkdSettings, context: JobContext) -> list[Row]:
    """Trains a teacher, and a student in each way."""
    arguments, _, tested = _SETS[settings.data]
    source = read(settings.data, **arguments).train
    order = stratified_order(source.labels, derive_seed(piece.seed, "hkd", "division"))

    def examples(start: int, count: int) -> tuple[Tensor, Tensor]:
        rows = order[start : start + count].sort().values
        return source.batch(rows).float() / 255, source.labels[rows]

    test, few = examples(0, tested), examples(tested, settings.images)

    def network(role: str, known: tuple[Tensor, Tensor], epochs: int, **given: Any) -> nn.Module:
        return trained(
            _network(role, piece.seed, few[0].shape[1:], len(source.classes)),
            known,
            epochs,
            context,
            seed=piece.seed,
            learning_rate=_RATES[role],
            batch_size=settings.batch_size,
            **given,
        )

    context.report("teacher")
    teacher = network("teacher", examples(tested, settings.teacher_images), settings.teacher_epochs)
    rows = []
    for name, methods in ways(settings).items():
        context.report(name)
        taught = {"teacher": teacher, "methods": methods, "label_weight": 1.0} if methods else {}
        student = network("student", few, settings.epochs, **taught)
        rows.append({"learns": name, ACCURACY.key: accuracy_of(student, test)})
    return [*rows, {"learns": "teacher", ACCURACY.key: accuracy_of(teacher, test)}]


def ways(settings: HkdSettings) -> dict[str, list[Method]]:
    """Returns the methods of each student, beside the labels."""
    contrast = {"width": settings.width, "negatives": settings.negatives}
    graph = {**contrast, "neighbours": settings.neighbours, "weight": settings.hkd_weight}
    kd, hkd = configure("kd", weight=settings.kd_weight), configure("hkd", **graph)
    return {
        "labels": [],
        "kd": [kd],
        "hkd": [hkd],
        "kd+crd": [kd, configure("crd", **contrast, weight=settings.crd_weight)],
        "kd+individual": [kd, configure("hkd", **graph, holistic=0.0)],
        "kd+hkd": [kd, hkd],
    }


def _network(role: str, seed: int, shape: Sequence[int], classes: int) -> nn.Module:
    channels, height, width = shape
    weights, widths = derive_seed(seed, "hkd", "weights", role), list(_WIDTHS[role])
    return build("small_cnn", num_classes=classes, channels=channels, size=(height, width), seed=weights, widths=widths)


def _claim(text: str, of: str, against: str) -> Claim:
    return Claim(text, {"learns": of}, {"learns": against}, ACCURACY.key)


HKD = System(
    name="hkd",
    title="Holistic knowledge: examples and their places in a graph (HKD)",
    source="Zhou et al., Distilling Holistic Knowledge with Graph Neural Networks, ICCV 2021",
    origin="code",
    settings=HkdSettings,
    axes=("learns",),
    metrics=(ACCURACY,),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=hkd_rows,
    claims=(
        _claim("HKD is better than labels alone", "hkd", "labels"),
        _claim("Distillation is better than labels alone", "kd", "labels"),
        _claim("Distillation with HKD is better than distillation", "kd+hkd", "kd"),
        _claim("With the graph it is better than with its individual part alone", "kd+hkd", "kd+individual"),
        _claim("Distillation with HKD is better than with CRD", "kd+hkd", "kd+crd"),
    ),
    controls="Every student of a seed has the same teacher, images, initial weights, order and number of steps, and "
    "its labels weigh 1.",
    check=check_graph,
)
