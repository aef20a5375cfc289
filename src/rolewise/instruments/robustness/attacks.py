"""Attacks: images moved within a small ball so that a classifier errs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale
from rolewise.instruments.robustness.balls import Norm, check_norm, project, steepest, uniform
from rolewise.instruments.robustness.objectives import Best, Objective, gradient_of, pixels_of
from rolewise.networks import evaluating


class Attack(Protocol):
    """A function that attacks a batch; settings of its own are bound beforehand, with ``functools.partial``."""

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        epsilon: float,
        spec: InputSpec | None,
        logit_scale: LogitScale,
    ) -> Tensor:
        """Returns images [B, C, H, W] in [0, 1], each within epsilon of its own."""
        ...


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: Norm = "linf",
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
) -> Tensor:
    r"""Moves each image once, to the edge of the ball.

    .. math:: x' = \mathrm{clip}_{[0, 1]} (x + \epsilon \, \mathrm{sign} \, \nabla_x \ell(z(x), y))

    In the Euclidean ball the gradient over its length takes the sign's place.

    Source: Goodfellow, Shlens, Szegedy (2015), section 4, https://arxiv.org/abs/1412.6572.
    Differs from source: none.

    Args:
        model: a classifier; it runs in eval mode.
        images: [B, C, H, W], uint8 or floating point in [0, 1], on the model's device.
        labels: int64 [B].
        epsilon: radius of the ball, at least 0; pixels are in [0, 1], so that 8 levels of 255 are 8 / 255.
        norm: ``linf`` or ``l2``.
        spec: the network's normalisation.
        logit_scale: the scale of the attacked logits, see `rolewise.instruments.prediction.scaled`. The answer is the
            same for both, the gradient is not.

    Returns:
        [B, C, H, W] floating point in [0, 1].

    Raises:
        InputError: an argument is out of its range.
    """
    check_bound(epsilon, norm)
    pixels = pixels_of(images)
    with evaluating(model):
        gradient = gradient_of(model, labels, spec, logit_scale)(pixels)
    return (pixels + epsilon * steepest(gradient, norm)).clamp(0, 1)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    generator: torch.Generator | None,
    norm: Norm = "linf",
    steps: int = 20,
    step_size: float | None = None,
    restarts: int = 1,
    objective: Objective = "cross_entropy",
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
) -> Tensor:
    r"""Moves each image in steps, and back into the ball after each of them.

    .. math:: x_{t + 1} = x + \Pi_\epsilon \big( \mathrm{clip}_{[0, 1]} (x_t + \alpha \, d(\nabla \ell(x_t))) - x \big)

    d is the sign, or the gradient over its length. Of several restarts each image keeps one that is misclassified, or
    else the one with the largest loss.

    Source: Madry et al. (2018), sections 2.1 and 5, https://arxiv.org/abs/1706.06083, also the default step.
    Differs from source: none.

    Args:
        model: as for `fgsm`; so are images, labels, epsilon, norm, spec and logit_scale.
        images: [B, C, H, W].
        labels: int64 [B].
        epsilon: radius of the ball, at least 0.
        generator: of the random starts, uniform in the ball; None to start at the image itself.
        norm: ``linf`` or ``l2``.
        steps: at least 1.
        step_size: alpha, positive; None for 2.5 epsilon / steps.
        restarts: at least 1.
        objective: the loss that is made large, see `attack_loss`.
        spec: the network's normalisation.
        logit_scale: the scale of the attacked logits.

    Returns:
        [B, C, H, W] floating point in [0, 1].

    Raises:
        InputError: an argument is out of its range, or there are restarts without a generator.
    """
    check_bound(epsilon, norm)
    pixels = pixels_of(images)
    with evaluating(model):
        best = Best(model, labels, spec, logit_scale, objective)
        for start in starts(pixels, epsilon, norm, restarts, generator):
            gradient = gradient_of(model, labels, spec, logit_scale, objective)
            best.offer(ascend(pixels, start, gradient, epsilon, norm, steps, step_size))
    return best.images


def ascend(
    pixels: Tensor,
    start: Tensor,
    gradient: Callable[[Tensor], Tensor],
    epsilon: float,
    norm: Norm,
    steps: int,
    step_size: float | None,
) -> Tensor:
    """Returns images after projected steps along a gradient; see `pgd` for the arguments."""
    if steps < 1 or (step_size is not None and not step_size > 0):
        raise InputError(f"steps and step_size must be at least 1 and positive, got {steps} and {step_size}")
    size = 2.5 * epsilon / steps if step_size is None else step_size
    for _ in range(steps):
        moved = (start + size * steepest(gradient(start), norm)).clamp(0, 1)
        # Rounding may leave the range of pixels by a hair.
        start = (pixels + project(moved - pixels, epsilon, norm)).clamp(0, 1)
    return start


def starts(
    pixels: Tensor, epsilon: float, norm: Norm, restarts: int, generator: torch.Generator | None
) -> list[Tensor]:
    """Returns an attack's starting points: random ones in the ball for each restart, or the images themselves."""
    if restarts < 1 or (generator is None and restarts > 1):
        raise InputError(f"restarts must be 1 without a generator and at least 1 with one, got {restarts}")
    if generator is None:
        return [pixels]
    return [(pixels + uniform(pixels, epsilon, norm, generator)).clamp(0, 1) for _ in range(restarts)]


def check_bound(epsilon: float, norm: str) -> None:
    """Raises InputError unless epsilon is a radius and the norm is known."""
    check_norm(norm)
    if not 0 <= epsilon < float("inf"):
        raise InputError(f"epsilon must be at least 0 and finite, got {epsilon}; pixels are in [0, 1]")
    if norm == "linf" and epsilon > 1:
        # Beyond it every image is within the ball: a radius in levels, taken for one of pixels, would break everything.
        raise InputError(
            f"epsilon must be at most 1 under linf, got {epsilon}; pixels are in [0, 1], so that levels of 255 are "
            f"divided by it: {epsilon:g} / 255"
        )
