"""The views of a training, as a config has them: the teacher's, and the second one of each image."""

from __future__ import annotations

from typing import Any

from rolewise.augment import build_schedule
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.train import Trainee
from rolewise.train.image_feed import ImageFeed


def plain_views(config: ExperimentConfig, *, distilled: bool) -> dict[str, Any]:
    """Returns the arguments by which a training shows its examples as they are, each role its own tokens.

    Args:
        config: of the experiment.
        distilled: whether its loss has the methods.
    """
    none, view = build_schedule("none"), config.distill.view if distilled else "shared"
    return {"augmentation": none, "teacher_augmentation": none if view == "own" else None, "view": view}


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
