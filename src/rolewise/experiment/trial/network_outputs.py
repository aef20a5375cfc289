"""The outputs of networks on trial: what each kind of targets wants of them."""

from __future__ import annotations

from typing import Any

from torch import nn

from rolewise.batch import Outputs
from rolewise.data.targets import TargetKind
from rolewise.experiment.trial.detector_trial import detector_fits
from rolewise.experiment.trial.image_facts import ImageFacts

#: What a network returns of images with such targets, and what each of them is for.
RETURNED: dict[TargetKind, tuple[str, str]] = {
    "classes": ("logits", "class"),
    "labels": ("logits", "label"),
    "numbers": ("outputs", "number"),
    "masks": ("logits", "class"),
    "boxes": ("logits", "class"),
    "points": ("outputs", "point"),
    "tags": ("logits", "tag"),
}
#: Shapes of logits of K classes where they are not [B, K].
SHAPES: dict[TargetKind, str] = {"masks": "[B, {0}, h, w]", "boxes": "[B, A, {0}]", "tags": "[B, T, {0}]"}


class Returning(nn.Module):
    """A network that has run already.

    Args:
        output: output of the network.
    """

    def __init__(self, output: Any) -> None:
        super().__init__()
        self._output = output

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Returns that output, whatever the inputs are."""
        return self._output


def fits(outputs: Outputs, images: ImageFacts, batch: int) -> bool:
    """Returns whether logits are one for each image, pixel of some resolution, location or token, and class."""
    if images.kind == "boxes":
        return detector_fits(outputs, batch, images.classes)
    logits = outputs.first
    if images.kind == "tags":
        return logits.ndim == 3 and (len(logits), logits.shape[2]) == (batch, images.classes)
    return logits.shape[:2] == (batch, images.classes) and logits.ndim == (4 if images.kind == "masks" else 2)
