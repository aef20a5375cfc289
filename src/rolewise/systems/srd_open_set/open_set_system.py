"""Open-set semi-supervised distillation: SRD, plain distillation and labels, with unlabelled pictures of any share."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from pydantic import Field

from rolewise.distill import Method, build_methods
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.systems.digit_bench import TEACHER_WIDTHS, accuracy_of, digit_bench, small_network, trained
from rolewise.systems.srd_open_set.open_sets import open_sets, trained_on_both
from rolewise.systems.system import Piece, Row, Seeds, System, SystemSettings, claim_between

#: Images of each class of the digits that a teacher may learn from, at least.
_OF_CLASS = 96
_NONE, _WITHIN = "none", "closed set"
Digit = Annotated[int, Field(ge=0, le=9)]


class OpenSetSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, initial weights and orders.
        closed: classes that the student learns.
        opened: classes that only unlabelled images have.
        outside: shares of unlabelled images that are of the open set, beside 0.
        labelled: labelled images of each class.
        unlabelled: number of unlabelled images.
        steps: steps of every student.
        batch: labelled images of a step, and unlabelled ones.
        teacher_epochs: epochs of the teacher on all images of the closed set.
        temperature: temperature of plain distillation.
        kd_weight: its weight beside labels of weight 1.
        srd_weight: weight of SRD beside labels of weight 1.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    closed: Annotated[tuple[Digit, ...], Field(min_length=2, max_length=9)] = (0, 1, 2, 3, 4, 5)
    opened: Annotated[tuple[Digit, ...], Field(min_length=1, max_length=8)] = (6, 7, 8, 9)
    outside: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(max_length=5)] = (0.5, 1.0)
    labelled: Annotated[int, Field(ge=1, le=90)] = 10
    unlabelled: Annotated[int, Field(ge=2, le=800)] = 360
    steps: Annotated[int, Field(ge=1, le=100_000)] = 500
    batch: Annotated[int, Field(ge=2, le=1000)] = 30
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    temperature: Annotated[float, Field(gt=0)] = 4.0
    kd_weight: Annotated[float, Field(gt=0)] = 1.0
    srd_weight: Annotated[float, Field(gt=0)] = 1.0


def check_open_set(settings: OpenSetSettings) -> None:
    """Raises InputError where the open set is not outside the closed one, or there are too few images."""
    for name in ("closed", "opened", "outside"):
        values = getattr(settings, name)
        if len(set(values)) < len(values):
            raise InputError(f"{name} must differ from one another, got {list(values)}")
    shared = sorted(set(settings.closed) & set(settings.opened))
    if shared:
        raise InputError(
            f"opened must have no class of the closed set, got {shared} in both: images of these would not be "
            "outside it; take other digits"
        )
    within = (_OF_CLASS - settings.labelled) * len(settings.closed)
    counts = [("closed", within, settings.unlabelled)]
    if settings.outside:
        most = round(max(settings.outside) * settings.unlabelled)
        counts.append(("open", _OF_CLASS * len(settings.opened), most))
    for name, there, wanted in counts:
        if wanted > there:
            raise InputError(
                f"unlabelled must be at most what the {name} set has, {there} images, got {wanted} of it; take fewer, "
                "or more classes"
            )


def open_set_rows(piece: Piece, settings: OpenSetSettings, context: JobContext) -> list[Row]:
    """Trains a teacher of the closed set, and a student of each loss with each kind of unlabelled images."""
    seed = piece.seed
    sets = open_sets(digit_bench(seed), seed, settings.closed, settings.opened, settings.labelled)
    classes = len(settings.closed)
    teacher = small_network(seed, "teacher", widths=TEACHER_WIDTHS, classes=classes)
    trained(teacher, sets.pool, settings.teacher_epochs, context, seed=seed, learning_rate=0.01)
    shares = {_NONE: sets.within[:0]}
    for share in (0.0, *settings.outside):
        count = round(share * settings.unlabelled)
        shares[_level(share)] = torch.cat([sets.within[: settings.unlabelled - count], sets.outside[:count]])
    found = []
    for level, images in shares.items():
        for taught, methods in _methods(settings).items():
            if taught == "labels" and level != _NONE:
                continue
            context.report(f"{taught}, unlabelled: {level}")
            student = small_network(seed, "student", classes=classes)
            trained_on_both(
                student,
                teacher,
                methods,
                sets.labelled,
                images,
                context,
                steps=settings.steps,
                batch=settings.batch,
                seed=seed,
            )
            found.append({"unlabelled": level, "taught": taught, ACCURACY.key: accuracy_of(student, sets.test)})
    return [*found, {"unlabelled": _NONE, "taught": "teacher", ACCURACY.key: accuracy_of(teacher, sets.test)}]


def _level(share: float) -> str:
    return f"{100 * share:g}% outside" if share else _WITHIN


def _methods(settings: OpenSetSettings) -> dict[str, list[Method]]:
    kd = {"name": "kd", "temperature": settings.temperature, "weight": settings.kd_weight}
    srd = {"name": "srrl", "weight": settings.srd_weight}
    return {"labels": [], "kd": build_methods([kd]), "srd": build_methods([srd])}


_claim = partial(claim_between, ("unlabelled", "taught"))
SRD_OPEN_SET = System(
    name="srd_open_set",
    title="Open-set semi-supervised distillation through the teacher's classifier (SRD)",
    source="Yang et al., Knowledge Distillation Meets Open-Set Semi-Supervised Learning, 2024",
    origin="code",
    settings=OpenSetSettings,
    axes=("unlabelled", "taught"),
    metrics=(ACCURACY,),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=open_set_rows,
    claims=(
        _claim("On labelled images alone, SRD is better than KD", (_NONE, "srd"), (_NONE, "kd")),
        _claim("On labelled images alone, KD is better than labels", (_NONE, "kd"), (_NONE, "labels")),
        _claim("With unlabelled images of the closed set, SRD is better than KD", (_WITHIN, "srd"), (_WITHIN, "kd")),
        _claim(
            "Where half of the unlabelled images are outside the set, SRD is better than KD",
            (_level(0.5), "srd"),
            (_level(0.5), "kd"),
        ),
        _claim(
            "Where all unlabelled images are outside the set, SRD is better than KD",
            (_level(1.0), "srd"),
            (_level(1.0), "kd"),
        ),
        _claim(
            "SRD with unlabelled images that are all outside the set is better than with none",
            (_level(1.0), "srd"),
            (_NONE, "srd"),
        ),
        _claim(
            "KD with unlabelled images that are all outside the set is better than with none",
            (_level(1.0), "kd"),
            (_NONE, "kd"),
        ),
        _claim(
            "SRD with unlabelled images of the closed set is better than with half of them outside it",
            (_WITHIN, "srd"),
            (_level(0.5), "srd"),
        ),
    ),
    controls="Every student of a seed has the same teacher, initial weights, labelled images, their order and number "
    "of steps; without unlabelled images a step has the labelled ones alone.",
    check=check_open_set,
)
