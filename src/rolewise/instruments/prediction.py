"""Predictions of a classifier for every image: the common entry of the instruments that need no gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from rolewise.data import ImageBatch
from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec, prepare
from rolewise.logits import standardised
from rolewise.networks import class_logits, device_of, evaluating

LogitScale = Literal["raw", "standardised"]


class Predictions(NamedTuple):
    """A classifier's answers, in the order of the images.

    Args:
        logits: [N, K] on the CPU, float32 or float64.
        labels: int64 [N] on the CPU.
    """

    logits: Tensor
    labels: Tensor


def scaled(logits: Tensor, logit_scale: LogitScale = "raw") -> Tensor:
    """Returns logits as they are, or divided by each sample's standard deviation.

    A network that was trained on standardised logits has logits of any size; only the standardised logits show
    what it learned (see `rolewise.logits.standardised`).

    Args:
        logits: [N, K].
        logit_scale: ``raw`` or ``standardised``.

    Returns:
        [N, K].

    Raises:
        InputError: the scale is not known.
    """
    if logit_scale == "raw":
        return logits
    if logit_scale != "standardised":
        raise InputError(
            f"logit_scale must be a known one, got {logit_scale!r}{near(str(logit_scale), get_args(LogitScale))}"
        )
    return standardised(logits)


def fed_outputs(model: nn.Module, inputs: Any, spec: InputSpec | None = None) -> Any:
    """Returns the outputs of a network.

    Args:
        model: any network; of texts it takes the tokens by name.
        inputs: images [B, C, H, W] in [0, 1] or uint8; or texts, a mapping of tensors [B, T].
        spec: the network's input; None to feed it images as they are, and for texts.
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(prepare(inputs, spec) if spec is not None else inputs)


def answer(model: nn.Module, images: Any, spec: InputSpec | None = None, logit_scale: LogitScale = "raw") -> Tensor:
    """Returns the logits [B, K] of images or texts, scaled; gradients reach the images' own pixels.

    Args:
        model: returns logits, or an object that has ``logits``.
        images: see `fed_outputs`.
        spec: the network's input; None to feed it images as they are, and for texts.
        logit_scale: see `scaled`.
    """
    return scaled(class_logits(fed_outputs(model, images, spec)), logit_scale)


def examples_on(batches: Iterable[Any], device: torch.device | str) -> Iterator[tuple[Any, Tensor]]:
    """Gives each batch as `batches_on` does; of texts, whose inputs are a mapping, the mapping and the labels.

    Args:
        batches: of (images [B, C, H, W] or a mapping of tensors [B, T], labels int64 [B]), as those of `batches_on`.
        device: their device.

    Raises:
        InputError: a batch is not of inputs and as many labels.
    """
    for batch in batches:
        pair = (batch.images, batch.labels) if isinstance(batch, ImageBatch) else batch
        texts = pair[0] if isinstance(pair, (tuple, list)) and len(pair) > 1 else None
        if not isinstance(texts, Mapping):
            yield from batches_on([batch], device)
            continue
        moved = {name: value.to(device) for name, value in texts.items() if isinstance(value, Tensor)}
        if len(moved) < max(1, len(texts)) or not isinstance(pair[1], Tensor):
            raise InputError(f"batches of texts must give (mapping of tensors, labels), got the inputs {list(texts)}")
        labels = pair[1].to(device)
        if {value.shape[:1] for value in moved.values()} != {labels.shape} or labels.is_floating_point():
            raise InputError(f"labels must be a class int64 [B] for each text, got {labels.dtype} {list(labels.shape)}")
        yield moved, labels.long()


def batches_on(batches: Iterable[Any], device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
    """Gives each batch's floating point images and its labels on a device; uint8 images become [0, 1].

    Args:
        batches: of (images [B, C, H, W], labels int64 [B]), or of `rolewise.data.ImageBatch`; what follows is left
            alone.
        device: their device.

    Raises:
        InputError: a batch is not of images and as many labels.
    """
    for batch in batches:
        pair = (batch.images, batch.labels) if isinstance(batch, ImageBatch) else batch
        if not isinstance(pair, (tuple, list)) or len(pair) < 2 or not all(isinstance(x, Tensor) for x in pair[:2]):
            raise InputError(f"batches must give tensors (images, labels), got {type(batch).__name__}")
        images, labels = pair[0].to(device), pair[1].to(device)
        if labels.shape != images.shape[:1] or labels.is_floating_point():
            raise InputError(
                f"labels must be classes int64 [B] of the {len(images)} images, got {labels.dtype} "
                f"{list(labels.shape)}; soft labels are for training"
            )
        yield images.float() / 255 if images.dtype == torch.uint8 else images, labels.long()


# Not inference_mode: a tensor made within it could never take part in a gradient later.
@torch.no_grad()
def predict(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> Predictions:
    """Runs a classifier in eval mode over every image, without gradients; every module gets its own mode back.

    Source: none; the instruments of this room begin here.

    Args:
        model: returns logits [B, K], or an object that has ``logits``. It is not moved.
        batches: of (images, labels) or (texts, labels), see `examples_on`; read once.
        spec: the network's input; None to feed it floating point images as they are, and uint8 ones in [0, 1].
        logit_scale: see `scaled`.
        device: the images' device; None for the network's own.

    Returns:
        The logits of that scale, and the labels.

    Raises:
        InputError: there is no image, a batch or the network's output has another form, or a label is not a class.
    """
    where = torch.device(device) if device is not None else device_of(model)
    logits, labels = [], []
    with evaluating(model):
        for images, classes in examples_on(batches, where):
            logits.append(answer(model, images, spec, logit_scale).cpu())
            labels.append(classes.cpu())
    if not sum(map(len, logits)):
        raise InputError("batches must give at least one image, got none")
    found = Predictions(torch.cat(logits), torch.cat(labels))
    check_class_labels(found.labels, *found.logits.shape)
    return found


def check_class_labels(labels: Tensor, count: int, classes: int) -> None:
    """Checks that labels are int64 [N] of ``count`` images in ``classes`` classes.

    Raises:
        InputError: they are not.
    """
    if labels.shape != (count,) or labels.dtype != torch.int64:
        raise InputError(f"labels must be int64 [{count}], got {labels.dtype} {list(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"labels must be in [0, {classes - 1}] for {classes} logits, got {low} to {high}")


def finite_logits(logits: Tensor, name: str = "logits") -> Tensor:
    """Returns finite logits [N, K] in float64, in which every instrument computes.

    Args:
        logits: the result of `predict`, or others.
        name: their name in the error.

    Raises:
        InputError: they are not [N, K] with N at least 1 and K at least 2, or not all finite.
    """
    if logits.ndim != 2 or len(logits) < 1 or logits.shape[1] < 2:
        raise InputError(f"{name} must be [N, K] with N at least 1 and K at least 2, got {list(logits.shape)}")
    if not bool(logits.isfinite().all()):
        row = int((~logits.isfinite()).any(1).nonzero()[0])
        raise InputError(
            f"{name} must be finite, got {logits[row].tolist()[:8]} for image {row}; the network or its input is broken"
        )
    return logits.detach().double()
