"""Images in another style, by a share of the greatest change."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment.plan_application import apply
from rolewise.augment.policy import Policy

#: Operations that change the style of an image, each with its value at the full shift and a random sign.
_STYLE = {"rotate": 20.0, "shear_x": 0.3, "contrast": 0.6, "brightness": 0.6}


def shifted_style(images: Tensor, shift: float, draws: torch.Generator) -> Tensor:
    """Returns images in another style: turned, sheared, and of other contrast and brightness.

    Args:
        images: uint8 [N, 1, H, W].
        shift: share of the full change; 0 leaves the images as they are.
        draws: generator of the signs.

    Returns:
        uint8 [N, 1, H, W].
    """
    ranges = {name: shift * value for name, value in _STYLE.items()}
    policy = Policy(counts=(1.0,), base=tuple(_STYLE), ranges=ranges)
    plan = policy.draw(len(images), (images.shape[1], images.shape[2], images.shape[3]), draws)
    return apply(images, plan, interpolation="bilinear")
