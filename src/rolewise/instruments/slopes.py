"""Slopes: how far a classifier's answer moves with its image. Distances are Euclidean, of pixels in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, answer, batches_on, check_class_labels, finite_logits
from rolewise.networks import device_of, evaluating

SlopeOutput = Literal["logits", "probabilities"]


def input_gradient_norm(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Returns the length of the loss's gradient with respect to each image.

    .. math:: \|\nabla_x \, (-\log \mathrm{softmax}(z(x))_y)\|_2

    Source: Drucker, LeCun (1992), Improving generalization performance using double backpropagation, which
    penalises its square.

    Args:
        model: a differentiable classifier.
        batches: of (images, labels).
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Returns:
        [N], nats by unit of pixels' distance, float64, on the CPU.

    Raises:
        InputError: there is no image, the logits are not finite, or do not depend on the images differentiably.
    """

    def lengths(images: Tensor, labels: Tensor) -> Tensor:
        images.requires_grad_()
        logits = _differentiable(answer(model, images, spec, logit_scale))
        check_class_labels(labels, *logits.shape)
        # Images do not touch in eval mode: the gradient of the sum is each one's own.
        (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels, reduction="sum"), images)
        return _lengths(gradient.double())

    return _for_each(model, batches, device, lengths)


def sampled_lipschitz(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    radius: float = 0.1,
    samples: int = 8,
    output: SlopeOutput = "probabilities",
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Returns the steepest slope from each image to random points around it: a lower bound of the local Lipschitz one.

    .. math:: \max_s \|f(x + \delta_s) - f(x)\|_2 / \rho, \quad \|\delta_s\|_2 = \rho

    Random directions miss the steep ones where dimensions are many: see `jacobian_norm` for those.

    Source: Wood, Zhang (1996), Estimation of the Lipschitz constant of a function, for the sampled slopes.
    Differs from source: the plain highest slope, on a sphere around each image.

    Args:
        model: a classifier.
        batches: of (images, labels); the labels are not used.
        generator: on the CPU; draws the directions, all equally likely.
        radius: rho > 0, in pixels' distance.
        samples: S, at least 1.
        output: the function f. Logits of any size mean the same answers; probabilities do not move with their size
            alone.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Returns:
        [N], at least 0, float64, on the CPU.

    Raises:
        InputError: the radius or the number of samples is not positive, there is no image, the output is not known,
            or the logits are not finite.
    """
    if not 0 < radius < math.inf or samples < 1:
        raise InputError(f"radius and samples must be positive, got {radius} and {samples}")

    def slopes(images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            here = _output(finite_logits(answer(model, images, spec, logit_scale)), output)
            steepest = torch.zeros(len(images), dtype=torch.float64, device=images.device)
            for _ in range(samples):
                moved = images + radius * _directions(images, generator)
                there = _output(finite_logits(answer(model, moved, spec, logit_scale)), output)
                steepest = torch.maximum(steepest, _lengths(there - here) / radius)
        return steepest

    return _for_each(model, batches, device, slopes)


def jacobian_norm(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    iterations: int = 10,
    output: SlopeOutput = "probabilities",
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Returns the largest singular value of the output's Jacobian at each image: the steepest slope at that point.

    .. math:: \max_{\|v\| = 1} \|J v\|_2, \quad J = \partial f / \partial x, \quad v \leftarrow J^T J v / \|J^T J v\|

    Power iteration, all images of a batch side by side; every step is closer, from below.

    Source: Yoshida, Miyato (2017), Spectral norm regularization, section 3, https://arxiv.org/abs/1705.10941, for the
    power iteration.
    Differs from source: of the network's Jacobian at an image instead of a layer's weights.

    Args:
        model: a classifier that can be differentiated twice.
        batches: of (images, labels); the labels are not used.
        generator: on the CPU; draws the first v.
        iterations: at least 1. Each costs two passes backwards.
        output: the function f, see `sampled_lipschitz`.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Returns:
        [N], at least 0, float64, on the CPU.

    Raises:
        InputError: there is no iteration or image, the output is not known, the logits are not finite, or do not depend
            on the images differentiably.
    """
    if iterations < 1:
        raise InputError(f"iterations must be at least 1, got {iterations}")

    def values(images: Tensor, labels: Tensor) -> Tensor:
        images.requires_grad_()
        found = _output(_differentiable(answer(model, images, spec, logit_scale)), output)
        # J^T w is linear in w, so its derivative along v is J v, wherever w is.
        w = torch.zeros_like(found, requires_grad=True)
        (pulled,) = torch.autograd.grad(found, images, w, create_graph=True)
        v, length = _directions(images, generator), found.new_zeros(len(found))
        for _ in range(iterations):
            (pushed,) = torch.autograd.grad(pulled, w, v, retain_graph=True)
            length = _lengths(pushed)
            (back,) = torch.autograd.grad(found, images, pushed, retain_graph=True)
            v = _unit(back)
        (pushed,) = torch.autograd.grad(pulled, w, v)
        return torch.maximum(length, _lengths(pushed)).detach().double()

    return _for_each(model, batches, device, values)


def _for_each(
    model: nn.Module,
    batches: Iterable[Any],
    device: torch.device | str | None,
    measured: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    found = []
    with evaluating(model), _frozen(model), torch.enable_grad():
        for images, labels in batches_on(batches, torch.device(device) if device is not None else device_of(model)):
            if len(images):
                found.append(measured(images.detach().clone(), labels).cpu())
    if not found:
        raise InputError("batches must give at least one image, got none")
    return torch.cat(found)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    # Only the images' gradients are wanted; the weights' would cost a graph of their own.
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_()


def _differentiable(logits: Tensor) -> Tensor:
    """Returns finite logits in float64, with their graph: 1 - p of a sure answer is 0 in single precision."""
    finite_logits(logits)
    if not logits.requires_grad:
        raise InputError("model must be differentiable in its images, and is not; does it run under no_grad?")
    return logits.double()


def _output(logits: Tensor, output: SlopeOutput) -> Tensor:
    if output == "probabilities":
        return logits.softmax(1)
    if output != "logits":
        raise InputError(f"output must be a known one, got {output!r}{near(str(output), get_args(SlopeOutput))}")
    return logits


def _directions(images: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    return _unit(drawn).to(images.device, images.dtype)


def _unit(vectors: Tensor) -> Tensor:
    # A gradient of float32 may be so small that its square is 0.
    size = vectors.flatten(1).abs().amax(1).clamp(min=1e-30).view(-1, *[1] * (vectors.ndim - 1))
    scaled = vectors / size
    return scaled / _lengths(scaled).clamp(min=1e-30).view_as(size)


def _lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return lengths
