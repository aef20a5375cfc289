"""The loss that an attack makes large, its gradient, and the worst point found so far."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer

Objective = Literal["cross_entropy", "margin"]


def pixels_of(images: Tensor) -> Tensor:
    """Returns images as floating point in [0, 1].

    Args:
        images: [B, C, H, W], uint8 or floating point in [0, 1].

    Raises:
        InputError: they have another shape, type or range.
    """
    if not isinstance(images, Tensor):
        raise InputError(
            f"images must be a tensor [B, C, H, W], got {type(images).__name__}; torch.from_numpy makes one"
        )
    if images.ndim != 4 or (images.dtype != torch.uint8 and not images.is_floating_point()):
        raise InputError(f"images must be uint8 or floating [B, C, H, W], got {images.dtype} {list(images.shape)}")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if images.numel() and not 0 <= float(images.min()) <= float(images.max()) <= 1:
        raise InputError(
            f"images must be in [0, 1], got {float(images.min()):g} to {float(images.max()):g}; leave the network's "
            "normalisation to spec"
        )
    return images if images.dtype == torch.float64 else images.float()


def attack_loss(logits: Tensor, labels: Tensor, objective: Objective = "cross_entropy") -> Tensor:
    r"""Returns the loss that an attack makes large, for each image.

    .. math:: -\log \mathrm{softmax}(z)_y \quad \text{or} \quad \max_{k \ne y} z_k - z_y

    The margin is positive where the image is misclassified, and its gradient does not fade as the logits grow.

    Source: Madry et al. (2018), equation 2.1, https://arxiv.org/abs/1706.06083, for the cross-entropy; Carlini, Wagner
    (2017), section IV.C, f_6, https://arxiv.org/abs/1608.04644, for the margin.
    Differs from source: the margin is not cut off.

    Args:
        logits: [B, K].
        labels: int64 [B].
        objective: ``cross_entropy`` (nats) or ``margin`` (in logits).

    Returns:
        [B], unreduced.

    Raises:
        InputError: the objective is not known, or the labels are no classes, one for each image.
    """
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != logits.shape[:1]:
        got = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels must be a tensor of classes int64 [B], of {len(logits)} images, got {got}")
    labels = labels.long()
    if objective == "cross_entropy":
        return functional.cross_entropy(logits, labels, reduction="none")
    if objective != "margin":
        raise InputError(f"objective must be a known one, got {objective!r}{near(objective, get_args(Objective))}")
    own = functional.one_hot(labels, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).amax(1) - logits[own]


def gradient_of(
    model: nn.Module,
    labels: Tensor,
    spec: InputSpec | None,
    logit_scale: LogitScale,
    objective: Objective = "cross_entropy",
) -> Callable[[Tensor], Tensor]:
    """Returns the function from images [B, C, H, W] in [0, 1] to each image's gradient of its own loss.

    Nothing is added to the gradients of the network's weights.
    """

    def gradient(pixels: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            total = attack_loss(answer(model, leaf, spec, logit_scale), labels, objective).sum()
            if not total.requires_grad:
                return torch.zeros_like(pixels)
            (found,) = torch.autograd.grad(total, leaf, allow_unused=True)
        return torch.zeros_like(pixels) if found is None else found

    return gradient


class Best:
    """Keeps the worst that was found for each image: a misclassified one, or else that of the largest loss.

    Args:
        model: the classifier under attack.
        labels: int64 [B].
        spec: the network's normalisation.
        logit_scale: the scale of the logits.
        objective: the loss that is made large.
    """

    def __init__(
        self, model: nn.Module, labels: Tensor, spec: InputSpec | None, logit_scale: LogitScale, objective: Objective
    ) -> None:
        self._ask: Callable[[Tensor], Tensor] = functools.partial(answer, model, spec=spec, logit_scale=logit_scale)
        self._labels, self._objective = labels, objective
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def images(self) -> Tensor:
        """[B, C, H, W], the worst so far."""
        assert self._kept is not None
        return self._kept[0]

    @torch.no_grad()
    def offer(self, images: Tensor) -> None:
        """Takes each image of [B, C, H, W] that is worse than the one kept."""
        logits = self._ask(images)
        wrong = logits.argmax(1) != self._labels
        loss = attack_loss(logits, self._labels, self._objective)
        if self._kept is None:
            self._kept = images, wrong, loss
            return
        kept, was_wrong, was_loss = self._kept
        worse = (wrong & ~was_wrong) | ((wrong == was_wrong) & (loss > was_loss))
        self._kept = (
            torch.where(worse.view(-1, 1, 1, 1), images, kept),
            torch.where(worse, wrong, was_wrong),
            torch.where(worse, loss, was_loss),
        )
