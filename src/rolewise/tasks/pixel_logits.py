"""Logits of pixels: found in what a segmenter gives, and brought to another resolution."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError

#: Names under which libraries give the logits of the last head, in the order in which they are looked for.
_NAMES = ("logits", "out")


def pixel_logits_in(output: Any) -> dict[str, Tensor]:
    """Returns the logits of pixels in the output of a network, ``logits`` first, and those of auxiliary heads.

    A tensor is the logits. A mapping or an object has them under ``logits`` or ``out``; other entries of four
    dimensions and as many classes are those of auxiliary heads, under their names. Of a tuple or list the first tensor
    is the logits, and the others are ``auxiliary_1``, ``auxiliary_2`` and so on.

    Args:
        output: of one call of the network.

    Raises:
        InputError: there are no such logits.
    """
    if isinstance(output, Tensor):
        return {"logits": _checked(output)}
    named = _named(output)
    key = next((name for name in _NAMES if isinstance(named.get(name), Tensor)), None)
    if key is None:
        got = f"{type(output).__name__} with {', '.join(map(repr, named)) or 'nothing'}"
        raise InputError(
            f"a network of segmentation must return logits [B, K, H, W], or have them under logits or out, got {got}; "
            "wrap it in a module whose forward returns them"
        )
    logits = _checked(named[key])
    others = {
        str(name): value
        for name, value in named.items()
        if name != key and isinstance(value, Tensor) and value.ndim == 4 and value.shape[:2] == logits.shape[:2]
    }
    return {"logits": logits, **others}


def _named(output: Any) -> Mapping[Any, Any]:
    """Returns the parts of an output by name; those of a plain tuple or list are numbered."""
    if isinstance(output, Mapping):
        return output
    if isinstance(output, Sequence) and not hasattr(output, "_asdict"):
        heads = [part for part in output if isinstance(part, Tensor) and part.ndim == 4]
        return {f"auxiliary_{index}" if index else "logits": part for index, part in enumerate(heads)}
    named: Mapping[Any, Any] = output._asdict() if hasattr(output, "_asdict") else getattr(output, "__dict__", {})
    return named


def _checked(logits: Tensor) -> Tensor:
    if logits.ndim != 4:
        raise InputError(
            f"a network of segmentation must return logits [B, K, H, W], got {list(logits.shape)}; a network that "
            "classifies whole images is of the task classification"
        )
    return logits


def resized(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Returns logits at another resolution, bilinearly, corners not aligned; the same where they have it already.

    Args:
        logits: [B, K, h, w].
        size: (H, W) in pixels.
    """
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def counted_labels(masks: Tensor, ignore: int | None) -> tuple[Tensor, Tensor]:
    """Returns labels that are classes everywhere, int64 [B, H, W], and the pixels that count, bool [B, H, W].

    Args:
        masks: [B, H, W] of whole numbers.
        ignore: the label of pixels that do not count, which become class 0; None where all count.
    """
    labels = masks.long()
    if ignore is None:
        return labels, torch.ones_like(labels, dtype=torch.bool)
    counts = labels != ignore
    return labels.where(counts, 0), counts


def nearest_mask(masks: Tensor, height: int, width: int) -> Tensor:
    """Returns masks at another resolution: each pixel is the one of the mask that its centre falls into.

    Args:
        masks: [B, H, W] of whole numbers.
        height: in pixels.
        width: in pixels.
    """
    rows, columns = (
        ((torch.arange(side, device=masks.device, dtype=torch.double) + 0.5) * (whole / side)).long()
        for side, whole in ((height, masks.shape[1]), (width, masks.shape[2]))
    )
    return masks[:, rows[:, None], columns]


def with_pixel_logits(network: nn.Module, size: tuple[int, int] | None) -> nn.Module:
    """Returns a segmenter, changed in place, that gives the logits [B, K, H, W] of its last head at a size.

    The network's own modules keep their names, so that its weights load and its layers are named as before.

    Args:
        network: gives what the task of segmentation takes.
        size: (H, W) of the images as they are read; None for a network of another task, which stays as it is.
    """
    if size is None:
        return network
    network.register_forward_hook(functools.partial(_at_size, size=size))
    return network


def _at_size(module: nn.Module, inputs: Any, output: Any, *, size: tuple[int, int]) -> Tensor:
    return resized(pixel_logits_in(output)["logits"], size)
