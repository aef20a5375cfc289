"""Checks of masks and the logits of pixels, before torch fails on them or trains on them in silence."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.tasks.target_checks import check_examples, check_place

#: Types of masks: what image files hold, and what losses take.
_TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)


def check_masks(images: object, masks: object) -> None:
    """Raises InputError unless masks are whole numbers [B, H, W] of images [B, C, H, W]; values are never read.

    Args:
        images: of the batch.
        masks: of the batch.
    """
    rule = "targets of the task segmentation must be masks [B, H, W] of whole numbers, a class for each pixel"
    if not isinstance(masks, Tensor):
        raise InputError(f"{rule}, got {type(masks).__name__}; make them with torch.as_tensor(masks)")
    if masks.ndim != 3 or masks.dtype not in _TYPES:
        way = ""
        if masks.ndim == 4 and masks.shape[1] == 1:
            way = "; drop the channel with masks.squeeze(1)"
        elif masks.ndim == 3 and masks.is_floating_point():
            way = "; convert them with masks.long(), and read files as whole numbers, not as pictures in [0, 1]"
        elif masks.ndim == 4:
            way = "; colours become classes by a table, and one-hot masks with masks.argmax(1)"
        raise InputError(f"{rule}, got {masks.dtype} {list(masks.shape)}{way}")
    check_examples(images, masks)
    if isinstance(images, Tensor) and images.ndim == 4 and images.shape[-2:] != masks.shape[-2:]:
        raise InputError(
            f"masks must be of their images' size, {list(images.shape[-2:])}, got {list(masks.shape[-2:])}; resize "
            "them by the nearest pixel, since classes have nothing between them"
        )


def check_pixel_logits(logits: Tensor, masks: Tensor) -> None:
    """Raises InputError unless logits [B, K, h, w] are of the masks' images, and on their device.

    Args:
        logits: of the student.
        masks: [B, H, W].
    """
    if logits.ndim != 4 or len(logits) != len(masks):
        raise InputError(
            f"the student must return logits [B, K, h, w] for {len(masks)} images, got {list(logits.shape)}"
        )
    check_place(logits, masks)


def check_mask_values(masks: Tensor, num_classes: int, ignore: int | None) -> None:
    """Raises InputError unless the labels of pixels that count are classes from 0 to K - 1; their values are read.

    Args:
        masks: [B, H, W].
        num_classes: K.
        ignore: the label of pixels that do not count, or None.
    """
    known = masks if ignore is None else masks[masks != ignore]
    if not known.numel():
        return
    low, high = (int(value) for value in known.aminmax())
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        kept = "none is ignored" if ignore is None else f"{ignore} is ignored"
        raise InputError(
            f"masks must hold classes from 0 to {num_classes - 1}, the student's {num_classes}, got {wrong} ({kept}); "
            "set the task's ignore to the label of pixels that do not count, or give the network more outputs"
        )
