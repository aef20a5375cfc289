"""AutoAttack, an ensemble without settings to tune, by way of the adversarial robustness toolbox (ART)."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer
from rolewise.instruments.robustness.attacks import check_bound
from rolewise.instruments.robustness.balls import Norm
from rolewise.instruments.robustness.objectives import pixels_of
from rolewise.networks import evaluating


def auto_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    generator: torch.Generator,
    norm: Norm = "linf",
    steps: int = 100,
    restarts: int = 5,
    queries: int = 5000,
    batch_size: int = 128,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
) -> Tensor:
    """Attacks with two kinds of automatic PGD (cross-entropy; ratio of logits), DeepFool and Square, one after another.

    Each attacks what those before it left right. Needs ``pip install "rolewise[attacks]"``.

    Source: Croce, Hein (2020), https://arxiv.org/abs/2003.01690, in ART's implementation.
    Differs from source: ART's DeepFool stands in for FAB, and the ratio of logits is not targeted, so that accuracies
    here are at or above those of the standard version and must not be reported as its own.

    Args:
        model: as for `pgd`; so are images, labels, norm, spec and logit_scale.
        images: [B, C, H, W].
        labels: int64 [B].
        epsilon: radius of the ball, positive.
        generator: gives one number, which seeds the streams that ART shares with everybody; they are put back after.
        norm: ``linf`` or ``l2``.
        steps: of both automatic PGDs and of DeepFool, at least 1.
        restarts: of both automatic PGDs and of Square, at least 1.
        queries: of Square, for each restart, at least 1.
        batch_size: images at a time.
        spec: the network's normalisation.
        logit_scale: the scale of the attacked logits.

    Returns:
        [B, C, H, W] float32 in [0, 1].

    Raises:
        InputError: ART is not installed, an argument is out of its range, or there are fewer than 3 classes, which the
            ratio of logits needs.
    """
    check_bound(epsilon, norm)
    if not epsilon > 0 or min(steps, restarts, queries, batch_size) < 1:
        raise InputError(
            "epsilon must be positive, and steps, restarts, queries and batch_size at least 1, got "
            f"{epsilon}, {steps}, {restarts}, {queries} and {batch_size}"
        )
    attacks, estimators = _art()
    pixels = pixels_of(images).float()
    if not len(pixels):
        return pixels
    with evaluating(model), gradients_kept(model):
        with torch.no_grad():
            classes = answer(model, pixels[:1], spec, logit_scale).shape[1]
        if classes < 3:
            raise InputError(f"model must have at least 3 classes for AutoAttack, got {classes}; use pgd")
        seed = int(torch.randint(2**32, (), generator=generator, device=generator.device))
        # Square divides by the size of a square that is empty on very small images; what is not finite is not taken.
        with isolated(seed), np.errstate(divide="ignore", invalid="ignore"):
            estimator = estimators.PyTorchClassifier(
                model=_Seen(model, spec, logit_scale),
                loss=nn.CrossEntropyLoss(),
                input_shape=tuple(pixels.shape[1:]),
                nb_classes=classes,
                clip_values=(0.0, 1.0),
                device_type="cpu" if pixels.device.type == "cpu" else "gpu",
            )
            # ART knows the maximum norm by this number.
            order: Any = np.inf if norm == "linf" else 2
            common = {"norm": order, "eps": float(epsilon), "batch_size": batch_size, "verbose": False}
            climb = {**common, "eps_step": epsilon / 4, "max_iter": steps, "nb_random_init": restarts}
            members = [
                attacks.AutoProjectedGradientDescent(estimator, **climb, loss_type="cross_entropy"),
                attacks.AutoProjectedGradientDescent(estimator, **climb, loss_type="difference_logits_ratio"),
                attacks.DeepFool(estimator, max_iter=steps, epsilon=1e-3, batch_size=batch_size, verbose=False),
                attacks.SquareAttack(estimator, **common, max_iter=queries, p_init=0.8, nb_restarts=restarts),
            ]
            whole = attacks.AutoAttack(estimator, norm=order, eps=float(epsilon), eps_step=epsilon / 4, attacks=members)
            found = whole.generate(x=pixels.cpu().numpy(), y=labels.cpu().numpy())
    return torch.from_numpy(found).to(pixels).clamp(0, 1)


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seeds the shared streams of Python, numpy and torch for a library that draws from them, and puts them back.

    Args:
        seed: in [0, 2^32).
    """
    python, numpy = random.getstate(), np.random.get_state()
    # No GPU's stream: ART draws on the CPU, and torch.manual_seed would move all of them.
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def gradients_kept(model: nn.Module) -> Iterator[None]:
    """Puts the gradients of a network's weights back that a library overwrites."""
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in kept:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


class _Seen(nn.Module):
    """The network with its normalisation inside and its logit scale outside, as ART wants it."""

    def __init__(self, model: nn.Module, spec: InputSpec | None, logit_scale: LogitScale) -> None:
        super().__init__()
        self.model, self.spec, self.logit_scale = model, spec, logit_scale

    def forward(self, pixels: Tensor) -> Tensor:
        return answer(self.model, pixels, self.spec, self.logit_scale)


def _art() -> tuple[Any, Any]:
    try:
        return importlib.import_module("art.attacks.evasion"), importlib.import_module("art.estimators.classification")
    except ImportError as error:
        raise InputError(
            f'auto_attack must find the adversarial robustness toolbox ({error}); pip install "rolewise[attacks]"'
        ) from error
