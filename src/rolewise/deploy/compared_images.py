"""The images that a file and its network are compared on: logits for every pixel or place take much memory."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.deploy.file_facts import FileFacts

#: Numbers of logits that a comparison holds at once: 256 MiB in single precision.
_MOST_VALUES = 1 << 26
#: Values for each pixel and class: of boxes those of places at strides 8 and 16, each with its four sides.
_VALUES = {"segmentation": 1.0, "detection": 0.1}


def compared_images(facts: FileFacts, indices: Tensor) -> Tensor:
    """Returns the images for which file and network are compared: all, or as many of them as memory should hold.

    Args:
        facts: of the file.
        indices: int64 [N], the images; of masks and boxes, those that are too many are left out evenly.
    """
    if facts.kind not in _VALUES:
        return indices
    height, width = facts.rules.shape
    values = _VALUES[facts.kind] * height * width * max(1, len(facts.classes))
    most = max(1, int(_MOST_VALUES / values))
    chosen: Tensor = indices[torch.linspace(0, len(indices) - 1, min(most, len(indices))).round().long()]
    return chosen
