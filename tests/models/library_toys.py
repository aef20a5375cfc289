"""A stand-in of torchvision: the part of its interface that Rolewise reads, where the library need not be installed."""

from __future__ import annotations

from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

from torch import nn


def torchvision_stand_in(*, side: int, mean: float, classes: int) -> ModuleType:
    """Returns a module with one network, ``net``, whose weights ``V1`` are for pictures of its own size.

    Args:
        side: height and width of its pictures, in pixels.
        mean: of each of their channels.
        classes: number of its weights' classes.
    """
    how = SimpleNamespace(
        crop_size=[side], mean=[mean] * 3, std=[0.25] * 3, interpolation=SimpleNamespace(value="bilinear")
    )

    class Weights(Enum):
        V1 = "https://example.org/net-89abcdef.pth"

        @property
        def url(self) -> str:
            return str(self.value)

        @property
        def meta(self) -> dict[str, Any]:
            return {"categories": ["a"] * classes}

        def transforms(self) -> Any:
            return how

    Weights.DEFAULT = Weights.V1
    module, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    models.list_models = lambda module: ["net"]
    models.get_model_weights = lambda name: Weights
    inputs = 3 * side * side
    models.get_model = lambda name, weights, num_classes: nn.Sequential(nn.Flatten(), nn.Linear(inputs, num_classes))
    module.models = models
    return module
