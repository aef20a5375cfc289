"""The moments of a training that are counted in epochs or steps, as fractions of it."""

from __future__ import annotations

from rolewise.config.training_sections import RateSchedule, TrainSettings
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.train.feed import Feed
from rolewise.train.image_feed import ImageFeed


def count_moments(distiller: Distiller, feed: Feed, settings: TrainSettings, steps: int) -> RateSchedule:
    """Makes fractions of the moments of learning rate, weights and mixing, in place but for the learning rate's.

    Args:
        distiller: its methods' weights.
        feed: its mixing, where it has one.
        settings: epochs and the learning rate's schedule.
        steps: optimiser steps of one epoch.

    Returns:
        The learning rate's schedule.

    Raises:
        InputError: the warm-up takes all of the training, or a weight's moments are not in order in it.
    """
    for method in distiller.methods:
        try:
            weight = method.weight.over(settings.epochs, steps)
        except InputError as error:
            raise InputError.at(("weight", *error.path), error.rule, owner=method.name) from error
        if weight is not method.weight:
            distiller.configure(method.name, weight=weight)
    if isinstance(feed, ImageFeed) and feed.mixing is not None:
        feed.mixing = feed.mixing.over(settings.epochs, steps)
    return settings.schedule.over(settings.epochs, steps)
