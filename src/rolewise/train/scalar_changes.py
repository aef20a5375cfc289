"""Numbers that change between the epochs of a training: by their short names, or by the paths of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rolewise.config.faults import Steps
from rolewise.config.search_sections import SHORT_SCALARS
from rolewise.distill.checks import check_limit
from rolewise.errors import InputError, near
from rolewise.tasks import Classification
from rolewise.train.image_feed import ImageFeed
from rolewise.train.movable_settings import (
    by_name,
    movable_in_methods,
    movable_in_mixing,
    movable_in_training,
    movable_steps,
)
from rolewise.train.optimizers import retune

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


def movable_of(trainee: Trainee) -> list[str]:
    """Returns the dotted paths of the settings that may change during a training.

    Args:
        trainee: the training.
    """
    smooths = type(trainee.distiller.task) is Classification
    found = movable_in_training(trainee.settings, smooths=smooths) + movable_in_methods(trainee.distiller.methods)
    if isinstance(trainee.feed, ImageFeed) and trainee.feed.mixing is not None:
        found += movable_in_mixing(unix=trainee.feed.mixing.unix)
    return found


def change_scalars(trainee: Trainee, values: Mapping[str, float | None]) -> None:
    """Replaces numbers of a training from now on.

    Args:
        trainee: the training, between two epochs.
        values: by short name or dotted path; what is None stays.

    Raises:
        InputError: a name is unknown, a setting cannot change during this training, or a value is out of its range.
    """
    for name, value in values.items():
        if value is None:
            continue
        if "." in name:
            _change(trainee, name, value)
        elif name in SHORT_SCALARS:
            _change_short(trainee, name, value)
        else:
            raise InputError(
                f"no such number of a training: {name!r}{near(name, [*SHORT_SCALARS, *movable_of(trainee)])}"
            )


def _change_short(trainee: Trainee, name: str, value: float) -> None:
    if name == "learning_rate":
        trainee.learning_rate = value
    elif name == "label_weight":
        trainee.distiller.label_weight = value
    elif name == "temperature":
        for method in trainee.distiller.methods:
            if "temperature" in method.info.adjustable:
                trainee.distiller.configure(method.name, temperature=value)
    elif isinstance(trainee.feed, ImageFeed) and trainee.feed.mixing is not None:
        # A role that mixes nothing has nothing to change.
        trainee.feed.mixing = trainee.feed.mixing.with_scalars(**{name.removeprefix("mix_"): value})


def _change(trainee: Trainee, path: str, value: float) -> None:
    path = by_name(path, [(method.name,) for method in trainee.distiller.methods])
    part, *steps = movable_steps(path, movable_of(trainee))
    try:
        if part == "train":
            _change_training(trainee, tuple(steps), value)
        elif part == "mix":
            assert isinstance(trainee.feed, ImageFeed) and trainee.feed.mixing is not None
            trainee.feed.mixing = trainee.feed.mixing.with_scalars(**{str(steps[0]): value})
        elif steps == ["label_weight"]:
            check_limit("label_weight", value, "not negative")
            trainee.distiller.label_weight = value
        else:
            _, name, setting = steps
            trainee.distiller.configure(str(name), **{str(setting): value})
    except InputError as error:
        rule = error.rule if error.rule.startswith("must") else f"must fit: {error}"
        raise InputError(f"{path} {rule}") from error


def _change_training(trainee: Trainee, steps: Steps, value: float) -> None:
    if steps == ("label_smoothing",):
        trainee.distiller.task = Classification(label_smoothing=value)
        return
    settings = trainee.settings.changed_at(steps, value)
    if steps == ("optimizer", "learning_rate"):
        # The settings keep the first one: to it the rates of groups are in proportion.
        trainee.learning_rate = value
        return
    trainee.settings = settings
    if steps[0] in ("optimizer", "groups"):
        trainee.rate_factors = retune(trainee.optimizer, settings.optimizer, settings.groups)
    elif steps[0] == "schedule":
        trainee.schedule = trainee.schedule.changed_at(steps[1:], value)
    elif steps == ("ema",) and trainee.average is not None:
        trainee.average.decay = value
