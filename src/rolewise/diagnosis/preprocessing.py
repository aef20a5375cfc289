"""A network's preprocessing and order of classes, and others that it may have been trained with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rolewise.data.image_statistics import statistics_of_channels
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.weight_space import recompute_batch_norm
from rolewise.networks import class_logits, device_of, evaluating, modes_kept

#: Normalisations in common use, of pixels in [0, 1]: name, mean, standard deviation.
_COLOUR = (
    ("pixels in [0, 1]", (0.0,) * 3, (1.0,) * 3),
    ("pixels in [-1, 1]", (0.5,) * 3, (0.5,) * 3),
    ("pixels in [0, 255]", (0.0,) * 3, (1 / 255,) * 3),
    ("ImageNet's mean, in grey levels", (0.485, 0.456, 0.406), (1 / 255,) * 3),
    ("ImageNet's statistics", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ("CIFAR-10's statistics", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ("CIFAR-100's statistics", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
)
_GREY = (
    ("pixels in [0, 1]", (0.0,), (1.0,)),
    ("pixels in [-1, 1]", (0.5,), (0.5,)),
    ("pixels in [0, 255]", (0.0,), (1 / 255,)),
    ("MNIST's statistics", (0.1307,), (0.3081,)),
    ("Fashion-MNIST's statistics", (0.2860,), (0.3530,)),
)
#: Sides, in pixels, that networks are commonly made for.
SIZES = (8, 16, 28, 32, 48, 64, 96, 128, 160, 192, 224, 256, 299, 384)
#: No side is tried that is so many times the present one: asking would take that squared as long.
_LARGEST = 8
#: What asks for another input than a network can take ends in one of these.
UNFIT = (RuntimeError, ValueError, IndexError)


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a network's input, and the order of its classes.

    Args:
        spec: normalisation and size of what it is fed.
        reverse: whether the channels come in reverse order, before they are normalised.
        recomputed: whether its batch norms have the statistics of the training images instead of their own.
        classes: for each class the output that stands for it; None where the outputs are in the classes' order.
    """

    spec: InputSpec
    reverse: bool = False
    recomputed: bool = False
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Correction:
    """A reading that would undo a fault.

    Args:
        fault: its name.
        label: the change in words.
        reading: the whole reading then.
    """

    fault: str
    label: str
    reading: Preprocessing


def plain_spec(images: Tensor) -> InputSpec:
    """Returns the input of a network that takes pixels in [0, 1] as they are."""
    channels = images.shape[1]
    return InputSpec((0.0,) * channels, (1.0,) * channels)


def image_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation (at least .001) of each channel of uint8 images [N, C, H, W], in [0, 1]."""
    mean, deviation = statistics_of_channels(torch.split(images, 1024))
    return mean, tuple(max(value, 1e-3) for value in deviation)


def corrections(
    model: nn.Module, reading: Preprocessing, train_images: Tensor, *, sizes: bool = True
) -> list[Correction]:
    """Returns the corrections that may be tried on a preprocessing, each a change of one kind.

    Normalisations that differ from the present one by less than 2% of a standard deviation are left out, and so are
    sizes that the network does not take.

    Args:
        model: the network.
        reading: the present one.
        train_images: uint8 [N, C, H, W]; their statistics are one of the normalisations.
        sizes: whether other sizes are tried, by the logits [B, K] that the network then gives.
    """
    found = []
    if train_images.shape[1] == 3 and not bool((train_images == train_images[:, :1]).all()):
        spec = reading.spec
        turned = replace(spec, mean=spec.mean[::-1], std=spec.std[::-1])
        found.append(Correction("channel_order", "channels reversed", replace(reading, reverse=not reading.reverse)))
        if not _alike(turned, spec):
            both = replace(reading, reverse=not reading.reverse, spec=turned)
            found.append(Correction("channel_order", "channels reversed, with their normalisation", both))
    found += [
        Correction("normalisation", label, replace(reading, spec=spec))
        for label, spec in _normalisations(reading.spec, train_images)
    ]
    found += [
        Correction(
            "input_size", f"{high} x {wide} pixels", replace(reading, spec=replace(reading.spec, size=(high, wide)))
        )
        for high, wide in (_sizes(model, reading, train_images) if sizes else ())
    ]
    if not reading.recomputed and norms_of(model):
        found.append(
            Correction("norm_mode", "norms' statistics from training images", replace(reading, recomputed=True))
        )
    return found


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """Returns the batch norms that keep statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


def untouched(model: nn.Module) -> bool:
    """Returns whether its batch norms have the statistics that they begin with, as if they had never seen an image."""
    norms = norms_of(model)
    means = [norm.running_mean for norm in norms if norm.running_mean is not None]
    variances = [norm.running_var for norm in norms if norm.running_var is not None]
    return bool(norms) and all(not bool(some.any()) for some in means) and all(bool((v == 1).all()) for v in variances)


def _normalisations(spec: InputSpec, train_images: Tensor) -> list[tuple[str, InputSpec]]:
    mean, std = image_statistics(train_images)
    times = spec.channels // len(mean)
    known = [
        ("the training images' statistics", mean * times, std * times),
        *(_COLOUR if spec.channels == 3 else _GREY),
    ]
    found: list[tuple[str, InputSpec]] = []
    for label, means, deviations in known:
        other = replace(spec, mean=means, std=deviations)
        if not any(_alike(other, seen) for seen in (spec, *(seen for _, seen in found))):
            found.append((label, other))
    return found


def _alike(one: InputSpec, other: InputSpec, share: float = 0.02) -> bool:
    """Returns whether no pixel in [0, 1] differs by more than a share of a standard deviation of its channel."""
    ends = [
        abs((pixel - a) / b - (pixel - c) / d)
        for pixel in (0.0, 1.0)
        for a, b, c, d in zip(one.mean, one.std, other.mean, other.std, strict=True)
    ]
    return max(ends) < share


def _sizes(model: nn.Module, reading: Preprocessing, images: Tensor) -> list[tuple[int, int]]:
    own = (images.shape[2], images.shape[3])
    present, taken = reading.spec.size or own, []
    for size in dict.fromkeys([own, *((side, side) for side in SIZES)]):
        if size == present or max(size) > _LARGEST * max(own):
            continue
        other = replace(reading, spec=replace(reading.spec, size=size))
        with suppress(*UNFIT):
            preprocessed_logits(model, images[:1], other)
            taken.append(size)
    return taken


@torch.no_grad()
def preprocessed_logits(model: nn.Module, images: Tensor, reading: Preprocessing) -> Tensor:
    """Returns logits [N, K] on the CPU, in eval mode, in the order of the classes.

    Args:
        model: the network, with the norms of the preprocessing (see `recomputed_norms`).
        images: uint8 [N, C, H, W].
        reading: the preprocessing.
    """
    device, found, batch_size = device_of(model), [], pixels_batch(images, reading)
    with evaluating(model):
        for start in range(0, len(images), batch_size):
            logits = class_logits(model(fed(images[start : start + batch_size].to(device), reading))).cpu()
            found.append(logits if reading.classes is None else logits[:, list(reading.classes)])
    return torch.cat(found)


def pixels_batch(images: Tensor, reading: Preprocessing) -> int:
    """Returns the images of a batch: 128, or as many as have the pixels of 128 images of 64 pixels, at least 8."""
    height, width = reading.spec.size or (images.shape[2], images.shape[3])
    return max(8, min(128, 128 * 64 * 64 // (height * width)))


def fed(images: Tensor, reading: Preprocessing) -> Tensor:
    """Returns images as a network takes them under a preprocessing."""
    return prepare(images.flip(1) if reading.reverse else images, reading.spec)


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Gives every buffer, and every module's mode, back as it was."""
    held = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with modes_kept(model):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, content in held:
                    buffer.copy_(content)


@contextmanager
def recomputed_norms(
    model: nn.Module,
    reading: Preprocessing,
    train_images: Tensor,
    known: dict[Preprocessing, list[Tensor]] | None = None,
) -> Iterator[None]:
    """Gives a network's batch norms the statistics of training images for a while, where the preprocessing has that.

    Args:
        model: the network.
        reading: the preprocessing.
        train_images: uint8 [N, C, H, W].
        known: buffers by preprocessing, of the same images: what is there is not computed again, new ones are added.
    """
    if not reading.recomputed:
        yield
        return
    with buffers_kept(model):
        if known is not None and reading in known:
            with torch.no_grad():
                for buffer, held in zip(model.buffers(), known[reading], strict=True):
                    buffer.copy_(held)
        else:
            device, batch_size = device_of(model), pixels_batch(train_images, reading)
            # A last batch of few images would weigh as much as the others.
            starts: Sequence[int] = range(0, max(1, len(train_images) - batch_size // 2), batch_size)
            labels = torch.zeros(batch_size, dtype=torch.int64)
            chunks = [train_images[start : start + batch_size].to(device) for start in starts]
            recompute_batch_norm(model, [(fed(chunk, reading), labels[: len(chunk)]) for chunk in chunks])
            if known is not None:
                known[reading] = [buffer.detach().clone() for buffer in model.buffers()]
        yield
