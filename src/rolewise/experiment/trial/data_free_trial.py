"""The generator of a student without data on trial: its settings, and what its method needs of the teacher."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import ModelSection, StudentSection
from rolewise.errors import InputError
from rolewise.experiment.made_images import made_images
from rolewise.experiment.trial.image_facts import ImageFacts


def data_free_faults_of(
    at: int,
    section: StudentSection,
    model: ModelSection,
    teacher: nn.Module,
    student: nn.Module,
    images: ImageFacts,
) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) where a student's images cannot be made.

    Args:
        at: place of the student.
        section: of the student, with the method.
        model: of the network that teaches.
        teacher: that network, as it was tried.
        student: the network that learns, likewise.
        images: of the data.
    """
    own = section.data_free
    assert own is not None
    if type(own.settings.get("rounds")) is int and own.settings["rounds"] > 0:
        # As little as may be: the pool of a trial would take the memory of a training.
        own = own.model_copy(update={"settings": {**own.settings, "rounds": 1}})
    elif own.method == "fast_dfkd":
        own = own.model_copy(update={"settings": {"rounds": 1, **own.settings}})
    shape, batch_size = images.fed(section.model), section.train.batch_size
    if shape != images.fed(model) or shape[1:] != images.size:
        sizes = f"{list(shape)} and {list(images.fed(model))} of images {list(images.size)}"
        rule = f"must be left out unless student and teacher take images of the data's own size, got {sizes}"
        yield ("students", at, "data_free"), f"{rule}; leave it out, or resize the data"
        return
    try:
        made_images(
            own, teacher, student, shape=shape, classes=images.classes, batch_size=batch_size, seed=0, device="cpu"
        )
    except InputError as error:
        path: Steps = ("settings", *error.path) if error.path and error.path[0] in own.settings else ()
        yield ("students", at, "data_free", *path), error.rule if path else str(error)
