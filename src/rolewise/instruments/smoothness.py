"""Smoothness: how undecided a classifier is, and how evenly its answer goes from one image to another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer, batches_on, finite_logits, scaled
from rolewise.networks import device_of, evaluating


def mean_entropy(logits: Tensor) -> float:
    r"""Returns the mean entropy of the probabilities.

    .. math:: -\frac{1}{N} \sum_n \sum_k p_{nk} \log p_{nk}

    Source: Shannon (1948), A mathematical theory of communication, section 6.

    Args:
        logits: [N, K], finite.

    Returns:
        Nats, in [0, log K].

    Raises:
        InputError: the logits are not finite [N, K].
    """
    return float(torch.special.entr(finite_logits(logits).softmax(1)).sum(1).mean())


@dataclass(frozen=True)
class LinearityGap:
    """The deviation of a network from linear between two images.

    Args:
        ratios: [R], the share of the first image.
        gap: float64 [R], mean over pairs, nats.
        pairs: of images.
    """

    ratios: tuple[float, ...]
    gap: Tensor
    pairs: int

    @property
    def mean(self) -> float:
        """Mean over the ratios, nats."""
        return float(self.gap.mean())


def linearity_gap(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    ratios: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> LinearityGap:
    r"""Returns the distance of the output for a mixed image from the mixed outputs.

    .. math:: \mathrm{KL}\big(f(\lambda x + (1 - \lambda) x') \,\|\, \lambda f(x) + (1 - \lambda) f(x')\big), \quad
        f = \mathrm{softmax}(z)

    0 is the target of mixup's labels. Each image is mixed with the next one of its batch, in an order that is
    drawn: give batches of shuffled images. An image alone in its batch is left out.

    Source: none; the property is that of Zhang et al. (2018), mixup, section 2, https://arxiv.org/abs/1710.09412.

    Args:
        model: a classifier.
        batches: of (images, labels); the labels are not used.
        generator: on the CPU; draws who is mixed with whom.
        ratios: of the first image, in [0, 1].
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Raises:
        InputError: there is no pair, no ratio or one that is not in [0, 1], or the logits are not finite.
    """
    read = functools.partial(scaled, logit_scale=logit_scale)
    return linearity_gaps(model, batches, {"": read}, generator=generator, ratios=ratios, spec=spec, device=device)[""]


@torch.no_grad()
def linearity_gaps(
    model: nn.Module,
    batches: Iterable[Any],
    readings: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    generator: torch.Generator,
    ratios: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> dict[str, LinearityGap]:
    """Returns `linearity_gap` of several readings of one network's logits, which answers each image once for all.

    Args:
        model: see `linearity_gap`; so are batches, generator, ratios, spec, device, errors and source.
        batches: of (images, labels).
        readings: by name, functions from raw logits [B, K] to the logits [B, K] that are read.
        generator: on the CPU.
        ratios: of the first image.
        spec: see `predict`.
        device: the images' device.
    """
    ratios = values_of(ratios, "ratios")
    if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
        raise InputError(f"ratios must be at least one number in [0, 1], got {list(ratios)}")
    sums, pairs = {name: torch.zeros(len(ratios), dtype=torch.float64) for name in readings}, 0
    with evaluating(model):
        for images, _ in batches_on(batches, torch.device(device) if device is not None else device_of(model)):
            if len(images) < 2:
                continue
            # One ring through the whole batch, so that no image is its own partner.
            ring = torch.randperm(len(images), generator=generator).to(images.device)
            partner = torch.empty_like(ring).scatter_(0, ring, ring.roll(-1))
            raw = answer(model, images, spec)
            own = {name: finite_logits(read(raw)).log_softmax(1) for name, read in readings.items()}
            for index, ratio in enumerate(ratios):
                mixed = answer(model, ratio * images + (1 - ratio) * images[partner], spec)
                share = torch.tensor([ratio, 1 - ratio], dtype=torch.float64, device=mixed.device).log()
                for name, read in readings.items():
                    found = finite_logits(read(mixed)).log_softmax(1)
                    wanted = torch.logaddexp(own[name] + share[0], own[name][partner] + share[1])
                    sums[name][index] += float((found.exp() * (found - wanted)).sum())
            pairs += len(images)
    if not pairs:
        raise InputError("batches must give at least two images together, got none; use larger batches")
    return {name: LinearityGap(tuple(ratios), (total / pairs).clamp(min=0), pairs) for name, total in sums.items()}
