"""The input that a network's library declares, beside what a config sets of it."""

from __future__ import annotations

from typing import Any

from rolewise.config.network_sections import ModelSection
from rolewise.models.zoo import in_zoo, zoo_card


def declared(model: ModelSection) -> ModelSection:
    """Returns a network's section with the mean, deviation, size and interpolation of its library filled in.

    What the section sets counts; a network of no other library declares nothing.

    Args:
        model: the section.

    Raises:
        InputError: the network's library is not installed, or knows no such network.
    """
    if not in_zoo(model.name):
        return model
    card = zoo_card(model.name)
    own: dict[str, Any] = {"size": model.size or card.size, "interpolation": model.interpolation or card.interpolation}
    if model.mean is None:
        own |= {"mean": card.mean, "std": card.std}
    return model.model_copy(update=own)
