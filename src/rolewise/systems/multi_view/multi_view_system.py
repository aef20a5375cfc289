"""Single networks, ensembles, distilled ensembles and self-distillation: on data with two views, and on digits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rolewise.data.view_model import ViewData, view_model
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.seeds import generator
from rolewise.systems.multi_view.patch_networks import (
    initial_weights,
    logits_of,
    train_network,
    views_learned,
)
from rolewise.systems.multi_view.real_networks import digit_rows
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings, claim_between

TRAINED = MetricInfo("training_accuracy", "training accuracy", "fraction")
BOTH = MetricInfo("both_views_accuracy", "accuracy with both views", "fraction")
VIEWS = MetricInfo("views", "views learned of two")
_CLASSES = 10
#: Test examples of each kind.
_TESTED = 1000
#: Of a class's stronger view, what counts as a view that was learned.
_LEARNED = 0.3


class MultiViewSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own data and initial weights.
        data: kinds of data.
        networks: networks of an ensemble.
        examples: training examples with one or both views.
        single: share of the training examples that lack a view.
        power: power of the rectifier near zero; with 2 the networks learn both views at once.
        neurons: neurons for each class.
        width: dimensions of a patch.
        patches: patches of an example.
        steps: least number of steps of gradient descent.
        most_steps: number of steps after which a network must have learned its training examples.
        largest_rate: highest learning rate.
        temperature: temperature of distillation.
        teacher_weight: weight of distillation beside the labels.
        least_training_accuracy: share of the training examples that every network must have learned.
        digit_epochs: epochs of a network of digits.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    data: Annotated[tuple[Literal["two views", "digits"], ...], Field(min_length=1)] = ("two views", "digits")
    networks: Annotated[int, Field(ge=2, le=50)] = 5
    examples: Annotated[int, Field(ge=20, le=100_000)] = 400
    single: Annotated[float, Field(ge=0, lt=1)] = 0.02
    power: Annotated[int, Field(ge=2, le=10)] = 4
    neurons: Annotated[int, Field(ge=1, le=100)] = 3
    width: Annotated[int, Field(ge=2 * _CLASSES, le=1000)] = 40
    patches: Annotated[int, Field(ge=2, le=100)] = 10
    steps: Annotated[int, Field(ge=1, le=100_000)] = 700
    most_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 7000
    largest_rate: Annotated[float, Field(gt=0)] = 20.0
    temperature: Annotated[float, Field(gt=0)] = 2.0
    teacher_weight: Annotated[float, Field(gt=0)] = 1.0
    least_training_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.99
    digit_epochs: Annotated[int, Field(ge=1, le=10_000)] = 150


def check_views(settings: MultiViewSettings) -> None:
    """Raises InputError where there is one view alone, or data are named twice."""
    if "two views" in settings.data and settings.single * settings.examples < 1:
        raise InputError(
            f"single must leave at least one of the {settings.examples} examples without a view, got "
            f"{settings.single}; where every example has both, no network has to learn more than one"
        )
    if settings.most_steps < settings.steps:
        raise InputError(f"most_steps must be at least {settings.steps}, which is steps, got {settings.most_steps}")
    if len(set(settings.data)) < len(settings.data):
        raise InputError(f"data must differ from one another, got {list(settings.data)}")


def views_pieces(settings: MultiViewSettings) -> list[Piece]:
    """Returns a piece for each seed and kind of data."""
    return [Piece(seed, {"data": data}) for data in settings.data for seed in settings.seeds]


def views_rows(piece: Piece, settings: MultiViewSettings, context: JobContext) -> list[Row]:
    """Trains all networks of a seed on one kind of data."""
    if piece.levels["data"] == "digits":
        return digit_rows(
            piece.seed,
            settings.networks,
            settings.digit_epochs,
            settings.temperature,
            settings.teacher_weight,
            context,
        )
    return _view_rows(piece.seed, settings, context)


def _view_rows(seed: int, settings: MultiViewSettings, context: JobContext) -> list[Row]:
    model = view_model(_CLASSES, settings.width, settings.patches, 2.0, 0.3, 0.05, seed)
    draws = functools.partial(generator, seed, "multi view")
    known = model.examples(settings.examples, settings.single, draws("training"))
    lacking, whole = (model.examples(_TESTED, share, draws("test", name)) for share, name in ((1, "one"), (0, "both")))
    logits = functools.partial(logits_of, power=settings.power, knee=1.0)

    def network(name: str, teacher: Tensor | None = None) -> Tensor:
        context.report(name)
        start = initial_weights(_CLASSES, settings.neurons, settings.width, 0.05, draws("weights", name))
        return train_network(
            start,
            known,
            logits,
            teacher=teacher,
            temperature=settings.temperature,
            teacher_weight=settings.teacher_weight,
            steps=settings.steps,
            most_steps=settings.most_steps,
            least_accuracy=settings.least_training_accuracy,
            largest_rate=settings.largest_rate,
            should_stop=functools.partial(_stop, context.should_stop),
        )

    def row(name: str, members: Sequence[Tensor]) -> Row:
        def accuracy(data: ViewData) -> float:
            mean = torch.stack([logits(one, data.patches) for one in members]).mean(dim=0)
            return float((mean.argmax(dim=1) == data.labels).double().mean())

        trained = accuracy(known)
        if trained < settings.least_training_accuracy:
            raise RunError(
                f"every network must have learned {settings.least_training_accuracy:.0%} of the training examples, and "
                f"{name} of seed {seed} has learned {trained:.1%}; raise most_steps or largest_rate"
            )
        found = [views_learned(one, model.features, _LEARNED) for one in members]
        return {
            "network": name,
            ACCURACY.key: accuracy(lacking),
            BOTH.key: accuracy(whole),
            TRAINED.key: trained,
            VIEWS.key: sum(found) / len(found),
        }

    members = [network(f"network {number}") for number in range(settings.networks)]
    answers = [logits(one, known.patches) for one in members]
    # The student of both is the same network from the same weights as the one that learns alone.
    return [
        row("single", [network("student")]),
        row("self-distilled", [network("student", answers[0])]),
        row("distilled ensemble", [network("student", torch.stack(answers).mean(dim=0))]),
        row("ensemble", members),
    ]


def _stop(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise Interrupted("stopped while a network was trained")


def _claim(text: str, of: str, against: str, data: str) -> Claim:
    return claim_between(("network",), text, (of,), (against,), data=data)


MULTI_VIEW = System(
    name="multi_view",
    title="Ensembles, distilled ensembles and self-distillation",
    source="Allen-Zhu and Li, Towards Understanding Ensemble, Knowledge Distillation and Self-Distillation, ICLR 2023",
    origin="reconstruction",
    settings=MultiViewSettings,
    axes=("data", "network"),
    metrics=(ACCURACY, BOTH, TRAINED, VIEWS),
    pieces=views_pieces,
    train=views_rows,
    claims=(
        _claim(
            "Where an example lacks a view, a network distilled from another one is better than one on labels alone",
            "self-distilled",
            "single",
            "two views",
        ),
        _claim(
            "One distilled from an ensemble is better than one distilled from another network",
            "distilled ensemble",
            "self-distilled",
            "two views",
        ),
        _claim(
            "One distilled from an ensemble is better than one on labels alone",
            "distilled ensemble",
            "single",
            "two views",
        ),
        _claim("The ensemble is better than what is distilled from it", "ensemble", "distilled ensemble", "two views"),
        _claim(
            "On digits, one distilled from an ensemble is better than one on labels alone",
            "distilled ensemble",
            "single",
            "digits",
        ),
        _claim(
            "On digits, one distilled from another network is better than one on labels alone",
            "self-distilled",
            "single",
            "digits",
        ),
    ),
    controls="Whoever teaches it, the student begins with the same weights and sees the same examples in one order.",
    check=check_views,
)
