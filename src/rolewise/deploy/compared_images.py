"""The images that a file and its network are compared on: logits for every pixel take much memory."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.deploy.file_facts import FileFacts

#: Numbers of logits that a comparison holds at once: 256 MiB in single precision.
_MOST_VALUES = 1 << 26


def compared_images(facts: FileFacts, indices: Tensor) -> Tensor:
    """Returns the images for which file and network are compared: all, or as many of them as memory should hold.

    Args:
        facts: of the file.
        indices: int64 [N], the images; of masks, those that are too many are left out evenly.
    """
    if facts.kind != "segmentation":
        return indices
    height, width = facts.rules.shape
    most = max(1, _MOST_VALUES // (max(1, len(facts.classes)) * height * width))
    chosen: Tensor = indices[torch.linspace(0, len(indices) - 1, min(most, len(indices))).round().long()]
    return chosen
