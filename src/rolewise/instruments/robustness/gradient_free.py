"""Attacks that use a classifier's outputs alone: random points of the ball, and a gradient from differences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer
from rolewise.instruments.robustness.attacks import ascend, check_bound, starts
from rolewise.instruments.robustness.balls import Norm, uniform
from rolewise.instruments.robustness.objectives import Best, attack_loss, pixels_of
from rolewise.networks import evaluating


def random_search(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    generator: torch.Generator,
    norm: Norm = "linf",
    draws: int = 100,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
) -> Tensor:
    """Returns the worst of some random points of the ball about each image.

    Source: Athalye, Carlini, Wagner (2018), section 3.1, https://arxiv.org/abs/1802.00420: a gradient that does no
    better than this is of no use.
    Differs from source: none; the points are uniform in the ball.

    Args:
        model: as for `fgsm`; so are images, labels, epsilon, norm, spec and logit_scale.
        images: [B, C, H, W].
        labels: int64 [B].
        epsilon: radius of the ball, at least 0.
        generator: of the points.
        norm: ``linf`` or ``l2``.
        draws: points for each image, at least 1.
        spec: the network's normalisation.
        logit_scale: of no influence on which points are misclassified.

    Returns:
        [B, C, H, W] floating point in [0, 1].

    Raises:
        InputError: an argument is out of its range.
    """
    check_bound(epsilon, norm)
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    pixels = pixels_of(images)
    with evaluating(model):
        best = Best(model, labels, spec, logit_scale, "margin")
        for _ in range(draws):
            best.offer((pixels + uniform(pixels, epsilon, norm, generator)).clamp(0, 1))
    return best.images


def nes(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    generator: torch.Generator,
    norm: Norm = "linf",
    steps: int = 20,
    step_size: float | None = None,
    draws: int = 32,
    width: float = 0.02,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
) -> Tensor:
    r"""Projected steps along a gradient of the margin that is estimated from the classifier's answers.

    .. math:: \hat g = \frac{1}{2 n \sigma} \sum_{i=1}^{n} \big( \ell(x + \sigma u_i) - \ell(x - \sigma u_i) \big) u_i,
        \quad u_i \sim \mathcal N(0, I)

    It runs the network 2 n times for each step, and finds what the network hides from its gradient.

    Source: Ilyas et al. (2018), section 2.1, https://arxiv.org/abs/1804.08598 (natural evolution strategies).
    Differs from source: the margin instead of a class probability, as nothing is targeted; the Euclidean ball too.

    Args:
        model: as for `pgd`; so are images, labels, epsilon, norm, steps, step_size, spec and logit_scale.
        images: [B, C, H, W].
        labels: int64 [B].
        epsilon: radius of the ball, at least 0.
        generator: of the start and of the directions.
        norm: ``linf`` or ``l2``.
        steps: at least 1.
        step_size: alpha; None for 2.5 epsilon / steps.
        draws: n, at least 1.
        width: sigma, positive, in pixels of [0, 1].
        spec: the network's normalisation.
        logit_scale: the scale of the logits.

    Returns:
        [B, C, H, W] floating point in [0, 1].

    Raises:
        InputError: an argument is out of its range.
    """
    check_bound(epsilon, norm)
    if draws < 1 or not width > 0:
        raise InputError(f"draws and width must be at least 1 and positive, got {draws} and {width}")
    pixels = pixels_of(images)

    @torch.no_grad()
    def estimate(at: Tensor) -> Tensor:
        total = torch.zeros_like(at)
        for _ in range(draws):
            direction = torch.randn(at.shape, generator=generator, device=generator.device, dtype=at.dtype).to(at)
            above, below = (
                attack_loss(answer(model, at + side * width * direction, spec, logit_scale), labels, "margin")
                for side in (1, -1)
            )
            total += (above - below).view(-1, 1, 1, 1) * direction
        return total / (2 * draws * width)

    with evaluating(model):
        (start,) = starts(pixels, epsilon, norm, 1, generator)
        return ascend(pixels, start, estimate, epsilon, norm, steps, step_size)
