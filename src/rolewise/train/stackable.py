"""Checks of trainings that are to be stacked: which of their settings have no stacked form, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rolewise.config.training_sections import Training
from rolewise.distill.step_state import keeps_state
from rolewise.errors import InputError
from rolewise.tasks import Classification
from rolewise.train.image_feed import ImageFeed

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee

#: The settings of a training that have one value where trainings are stacked.
PLAIN = {
    "precision": "float32",
    "channels_last": False,
    "compile": False,
    "accumulate": 1,
    "distill_gradient": "sum",
}


def stack_faults(training: Training) -> Iterator[tuple[str, str]]:
    """Yields the name of each setting of a training that cannot be stacked, and the rule that it breaks."""
    for name, value in PLAIN.items():
        if (got := getattr(training, name)) != value:
            wanted = str(value).lower() if isinstance(value, bool) else value
            yield name, f"must be {wanted} where trainings are stacked, got {str(got).lower()}"


def check_stack(trainees: Sequence[Trainee]) -> None:
    """Raises InputError unless trainings can take their steps as one (see `StackedTrainings`)."""
    first = trainees[0]
    for trainee in trainees:
        for name, rule in stack_faults(trainee.settings):
            raise InputError(f"{name} {rule}; train them apart")
        if fault := _fault(trainee):
            raise InputError(f"stacked trainings must {fault}; train them apart")
        for what, own, others in (
            ("batch size", trainee.settings.batch_size, first.settings.batch_size),
            ("number of images", trainee.images.examples, first.images.examples),
            ("place", (trainee.epoch, trainee.step), (first.epoch, first.step)),
            ("number of epochs", trainee.settings.epochs, first.settings.epochs),
            ("weight of the labels", trainee.distiller.label_weight, first.distiller.label_weight),
            ("label smoothing", trainee.distiller.task.label_smoothing, first.distiller.task.label_smoothing),  # type: ignore[attr-defined]
            ("list of methods", trainee.distiller.methods, first.distiller.methods),
            ("network", _shapes(trainee), _shapes(first)),
        ):
            if own != others:
                raise InputError(f"stacked trainings must have the same {what}, got another one; train them apart")


def _fault(trainee: Trainee) -> str:
    """Returns the rule that a training breaks; empty where it breaks none."""
    distiller, feed = trainee.distiller, trainee.feed
    rules = {
        "be of images that are classified": isinstance(feed, ImageFeed) and type(distiller.task) is Classification,
        "mix no images: the mixed ones are others in each": getattr(feed, "mixing", None) is None,
        "have no second view": getattr(feed, "strong", None) is None and not distiller.further_views,
        "have one update a step, of one student": len(trainee.updates) == 1 and len(distiller.roles) == 1,
        "have no phases": trainee.course.title is None,
        "be of one process": trainee.ranks.world == 1,
        "have no cache": trainee.cache is None,
        "have methods and averages that keep no state within the Distiller": not keeps_state(distiller),
        "have a teacher in eval mode, without gradients": distiller.teacher_mode == "eval"
        and not distiller.teacher_gradients,
    }
    return next((rule for rule, kept in rules.items() if not kept), "")


def _shapes(trainee: Trainee) -> list[tuple[str, tuple[int, ...], bool]]:
    parameters = trainee.distiller.named_parameters()
    return [(name, tuple(parameter.shape), parameter.requires_grad) for name, parameter in parameters]
