"""The second view of each image of a training, as a config has it."""

from __future__ import annotations

from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.train import Trainee
from rolewise.train.image_feed import ImageFeed


def add_strong_view(trainee: Trainee, config: ExperimentConfig, *, distilled: bool) -> None:
    """Gives a training the second view of its images, where its config has one and it distils.

    Args:
        trainee: at its beginning.
        config: of the experiment.
        distilled: whether its loss has the methods.

    Raises:
        InputError: the data are texts.
    """
    if config.distill.strong is None or not distilled:
        return
    if not isinstance(trainee.images, ImageFeed):
        raise InputError("distill.strong must be a view of images, and the data are texts; leave it out")
    trainee.images.strong = builders.preset(config, config.distill.strong)
