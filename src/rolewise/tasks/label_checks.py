"""Checks of labels and logits, before torch fails on them or trains on them in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rolewise.errors import InputError

#: How far from 1 the shares of soft labels may add up to, which half precision rounds.
_SLACK = {torch.float16: 1e-2, torch.bfloat16: 3e-2}


def check_label_shapes(images: object, labels: object) -> None:
    """Raises InputError unless labels are int64 [B] or floating point [B, K] of images; values are never read.

    Args:
        images: [B, ...], or a mapping of such tensors.
        labels: of the images.
    """
    whole = images
    # Of a tensor nobody wants to know whether it is a mapping, which takes long to find out.
    if not isinstance(images, Tensor) and isinstance(images, Mapping) and _are_tensors(images):
        images = next(iter(images.values()))
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor):
        raise _no_batch(whole, labels)
    fits = labels.dtype == torch.int64 if labels.ndim == 1 else labels.ndim == 2 and labels.is_floating_point()
    if not fits or not images.ndim or labels.shape[0] != images.shape[0]:
        got, count = f"{labels.dtype} {list(labels.shape)}", len(images) if images.ndim else 0
        raise InputError(
            f"labels must be int64 [B] or soft labels [B, K] for {count} images, got {got}{_way(labels, count)}"
        )


def _are_tensors(images: Mapping[Any, object]) -> bool:
    return bool(images) and all(isinstance(value, Tensor) for value in images.values())


def _no_batch(images: object, labels: object) -> InputError:
    if isinstance(images, Mapping):
        keys = ", ".join(map(repr, images))
        if labels is None and _are_tensors(images):
            return InputError(
                f"labels must be a tensor, got none beside {keys}; name their entry where it is among these, as in "
                'Distiller(..., label_name="classes"), and that of the inputs where the networks take one tensor '
                '(input_name="images"); where nothing reads labels set label_weight=0'
            )
        return InputError(
            f"images must be a tensor, got a mapping with {keys}; take images and labels out of it, as in "
            'distiller(batch["images"], batch["labels"]), or name both: Distiller(..., input_name="images", '
            'label_name="classes")'
        )
    if isinstance(images, (list, tuple)):
        return InputError(
            f"images must be a tensor, got a {type(images).__name__} of {len(images)}; unpack a batch as in "
            "distiller(*batch), or stack images with torch.stack"
        )
    if not isinstance(images, Tensor):
        return InputError(f"images must be a tensor [B, C, H, W], got {type(images).__name__}")
    if labels is None:
        return InputError("labels must be a tensor, got none; where nothing reads them set label_weight=0")
    return InputError(
        f"labels must be a tensor, int64 [B] or soft labels [B, K], got {type(labels).__name__}; "
        "make one with torch.as_tensor(labels)"
    )


def _way(labels: Tensor, count: int) -> str:
    """Returns the remedy for labels of another shape or type, where there is one."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "; drop the last dimension with labels.squeeze(1).long()"
    if labels.ndim == 2 and not labels.is_floating_point() and labels.numel() and int(labels.max()) > 1:
        return "; a class for each token is of the task tagging"
    if labels.ndim == 2 and not labels.is_floating_point():
        return (
            "; one-hot labels become classes with labels.argmax(1), and several labels at once are of the task "
            "multi_label"
        )
    if labels.ndim == 1 and not labels.is_floating_point() and labels.dtype != torch.int64:
        return "; convert them with labels.long()"
    if labels.ndim == 1 and labels.is_floating_point():
        return "; convert classes with labels.long(); numbers to be predicted are of the task regression"
    if labels.ndim and labels.shape[0] != count:
        return f"; give one for each of the {count} images"
    return "; make classes of them, one for each image"


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Raises InputError unless a student's logits are [B, K] and go with its labels.

    Args:
        logits: the student's.
        labels: int64 [B], or soft [B, K].
    """
    if logits.ndim != 2 or logits.shape[0] != labels.shape[0]:
        way = "; drop the 1 with logits.squeeze(1) in a wrapper" if 1 in logits.shape[1:-1] else ""
        raise InputError(
            f"the student must return logits [B, K] for {len(labels)} images, got {list(logits.shape)}{way}"
        )
    if labels.ndim == 2 and labels.shape[1] != logits.shape[1]:
        raise InputError(
            f"labels must be shares of the student's {logits.shape[1]} classes, got {list(labels.shape)}; "
            "give both the same K"
        )
    if labels.device != logits.device:
        raise InputError(
            f"labels must be on the student's device, {logits.device}, got {labels.device}; move them with "
            "labels.to(device)"
        )


def check_label_values(labels: Tensor, num_classes: int) -> None:
    """Raises InputError unless labels are classes from 0 to K - 1, or shares that add up to 1; their values are read.

    Args:
        labels: int64 [B], or soft [B, K].
        num_classes: K.
    """
    if not labels.numel():
        raise InputError("labels must be of at least one image, got none; leave an empty batch out")
    least_label, largest = torch.aminmax(labels.detach())
    low, high = least_label.item(), largest.item()
    if labels.ndim == 1:
        if low < 0 or high >= num_classes:
            wrong = low if low < 0 else high
            raise InputError(
                f"labels must be from 0 to {num_classes - 1}, the student's {num_classes} classes, got {wrong}; "
                "number them so, or give the network more outputs"
            )
        return
    sums = labels.detach().sum(1)
    least, most = (value.item() for value in sums.aminmax())
    slack = _SLACK.get(labels.dtype, 1e-3)
    if low >= 0 and least >= 1 - slack and most <= 1 + slack:
        return
    if not (low >= 0 and high < float("inf")):
        wrong = low if low < 0 or low != low else high
        raise InputError(f"soft labels must be finite shares of at least 0, got {wrong:g}")
    wrong = most if most > 1 + slack else least
    row = int((sums - wrong).abs().argmin())
    raise InputError(
        f"soft labels must add up to 1 in every row, got {wrong:g} in row {row}; several labels at once are of the "
        "task multi_label, and shares of one class are made by dividing by labels.sum(1, keepdim=True)"
    )
