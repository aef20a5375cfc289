"""A batch of images of several sizes with their boxes, for a DataLoader of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.errors import InputError


def collate_boxes(examples: Sequence[tuple[Tensor, Mapping[str, Any]]]) -> tuple[Tensor, list[dict[str, Any]]]:
    """Returns the images and targets of a batch: ``DataLoader(..., collate_fn=rolewise.data.collate_boxes)``.

    Images are padded with 0 at the right and the bottom to the largest height and width of the batch, so that their
    boxes stay where they are.

    Args:
        examples: an image [C, h, w] and its target, a mapping of tensors, each.

    Returns:
        The images [B, C, H, W] and a list of B targets.

    Raises:
        InputError: an example is no such pair, or the images differ in channels or type.
    """
    for at, example in enumerate(examples):
        good = isinstance(example, (tuple, list)) and len(example) == 2
        if (
            not good
            or not isinstance(example[0], Tensor)
            or example[0].ndim != 3
            or not isinstance(example[1], Mapping)
        ):
            got = type(example).__name__
            raise InputError(f"example {at} must be an image [C, h, w] and a mapping with boxes and labels, got {got}")
    images = [image for image, _ in examples]
    kinds = {(image.shape[0], image.dtype) for image in images}
    if len(kinds) > 1:
        got = " and ".join(f"{dtype} with {channels} channels" for channels, dtype in sorted(kinds, key=str))
        raise InputError(f"images of a batch must have the same channels and type, got {got}; convert them")
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    table = [functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images]
    return torch.stack(table), [dict(target) for _, target in examples]
