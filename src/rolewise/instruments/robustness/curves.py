"""Accuracy under attack, over the radius of the ball and over the logit scales that are attacked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer, batches_on, finite_logits
from rolewise.instruments.robustness.attacks import Attack
from rolewise.instruments.robustness.objectives import pixels_of
from rolewise.networks import device_of, evaluating


@dataclass(frozen=True)
class RobustAccuracy:
    """Accuracy of a classifier under attack at one radius.

    Args:
        epsilon: radius of the ball.
        clean: accuracy in [0, 1] without an attack.
        accuracy: for each logit scale, the share of images that are right both without the attack and under it.
        worst: share of images that withstand the attack through every logit scale.
        count: images.
    """

    epsilon: float
    clean: float
    accuracy: dict[LogitScale, float]
    worst: float
    count: int


def robust_accuracy(
    model: nn.Module,
    batches: Iterable[Any],
    attack: Attack,
    *,
    epsilons: Sequence[float],
    logit_scales: Sequence[LogitScale] = ("raw",),
    spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> list[RobustAccuracy]:
    """Measures accuracy under an attack at one radius after another: a curve.

    Which class is the largest is the same for both logit scales, so that one accuracy without attack serves both. The
    gradient is not the same: a network is as robust as its weaker logit scale, which is ``worst``.

    Source: Madry et al. (2018), section 5, figure 6, https://arxiv.org/abs/1706.06083.
    Differs from source: an image that is wrong without the attack counts as wrong under it.

    Args:
        model: a classifier of images in [0, 1]. It is not moved.
        batches: of (images [B, C, H, W], uint8 or in [0, 1]; labels int64 [B]), read once.
        attack: such as ``fgsm``, or ``functools.partial(pgd, steps=20, generator=generator)``.
        epsilons: radii, at least one.
        logit_scales: the scales of the attacked logits, one after another.
        spec: the network's normalisation.
        device: the images' device; None for the network's own.

    Returns:
        One row for each radius, in their order.

    Raises:
        InputError: there is no image, no radius or no logit scale, the attack refuses its arguments, or the logits are
            not finite.
    """
    epsilons, logit_scales = values_of(epsilons, "epsilons"), values_of(logit_scales, "logit_scales")
    if not epsilons or not logit_scales:
        raise InputError(
            f"epsilons and logit_scales must hold at least one, got {list(epsilons)} and {list(logit_scales)}"
        )
    where = torch.device(device) if device is not None else device_of(model)
    clean: list[Tensor] = []
    found: dict[tuple[float, LogitScale], list[Tensor]] = {
        (epsilon, logit_scale): [] for epsilon in epsilons for logit_scale in logit_scales
    }
    for images, labels in batches_on(batches, where):
        right = correct(model, pixels_of(images), labels, spec)
        clean.append(right)
        for (epsilon, logit_scale), kept in found.items():
            attacked = attack(model, images, labels, epsilon=epsilon, spec=spec, logit_scale=logit_scale)
            kept.append(right & correct(model, attacked, labels, spec))
    if not clean or not sum(map(len, clean)):
        raise InputError("batches must give at least one image, got none")
    rows = []
    for epsilon in epsilons:
        withstood = {logit_scale: torch.cat(found[epsilon, logit_scale]) for logit_scale in logit_scales}
        rows.append(
            RobustAccuracy(
                epsilon=float(epsilon),
                clean=fraction_right(torch.cat(clean)),
                accuracy={logit_scale: fraction_right(hits) for logit_scale, hits in withstood.items()},
                worst=fraction_right(torch.stack(list(withstood.values())).all(0)),
                count=sum(map(len, clean)),
            )
        )
    return rows


@torch.no_grad()
def correct(model: nn.Module, pixels: Tensor, labels: Tensor, spec: InputSpec | None) -> Tensor:
    """Returns bool [B] on the CPU: which images in [0, 1] are classified rightly.

    Raises:
        InputError: the logits are not finite. The largest of them would be the first NaN, a class like any other.
    """
    if not len(pixels):
        return torch.zeros(0, dtype=torch.bool)
    with evaluating(model):
        return (finite_logits(answer(model, pixels, spec)).argmax(1) == labels).cpu()


def fraction_right(hits: Tensor) -> float:
    """Returns the share of true values of bool [N]."""
    return int(hits.sum()) / len(hits)
