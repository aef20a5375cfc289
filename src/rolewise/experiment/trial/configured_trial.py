"""One network on trial as a config describes it: its device, and the numbers that its optimiser keeps."""

from __future__ import annotations

from rolewise.config.network_sections import ModelSection
from rolewise.config.training_sections import TrainSection
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_trial import CPU, Network, try_network

#: Numbers that an optimiser keeps beside each weight.
_MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}


def configured_trial(model: ModelSection, images: ImageFacts, train: TrainSection | None, device: str) -> Network:
    """Tries a network as a config describes its training (see `try_network`).

    Args:
        model: the network's section.
        images: facts of the data's images.
        train: the section of its training; None where it is not trained.
        device: as the config has it.
    """
    try:
        where = builders.configured_device(device)
    except InputError:
        where = CPU  # a config for another machine
    moments = _MOMENTS[train.optimizer.name] if train is not None else 0
    if train is not None and train.optimizer.name == "sgd" and not train.optimizer.momentum:
        moments = 0
    return try_network(model, images, trained=train is not None, device=where, moments=moments)
