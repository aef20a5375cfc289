"""One training step, from a batch to moved weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.average import Average
from rolewise.distill import Distiller, Pairs, Terms, limit_gradients
from rolewise.errors import InputError
from rolewise.train.gradients import GradientNorms, gradient_norms

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train_step(
    distiller: Distiller,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    teacher_images: Tensor | None,
    *,
    pairs: Pairs | None = None,
    progress: float,
    learning_rate: float,
    precision: str = "float32",
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    share: float | None = None,
    parameters: list[nn.Parameter],
    average: Average | None = None,
    measured: list[GradientNorms] | None = None,
) -> dict[str, Tensor]:
    """Does one step.

    Args:
        distiller: student, teacher and loss.
        optimizer: of the student.
        images: uint8 [B, C, H, W] as the student sees them.
        labels: int64 [B] or soft [B, K].
        teacher_images: as the teacher sees them; None for the student's.
        pairs: how images were mixed, where the teacher's outputs are to be made to fit.
        progress: fraction of training done, in [0, 1].
        learning_rate: of this step.
        precision: ``float32``, or a half precision for the forward passes.
        scaler: of the loss, for float16.
        clip_norm: bound of the gradient's norm.
        share: bound of the distillation's gradient, as a share of the labels' for each tensor (see
            `rolewise.distill.gradients.limit_gradients`); None for their plain sum.
        parameters: what is trained.
        average: of the student's weights, to follow it.
        measured: gets the norms of this step's gradients, where they are wanted; the step stays the same.

    Returns:
        The terms of the loss, detached, and their weighted sum ``total``.

    Raises:
        InputError: there is a ``share`` of the labels' gradient, and their weight is 0; or there is one, or norms are
            wanted, and several processes train together.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    if precision == "float32":
        terms = distiller(images, labels, teacher_images=teacher_images, progress=progress, pairs=pairs)
    else:
        with torch.autocast(images.device.type, _DTYPES[precision]):
            terms = distiller(images, labels, teacher_images=teacher_images, progress=progress, pairs=pairs)
    if measured is not None:
        student = [weight for weight in distiller.student.parameters() if weight.requires_grad]
        measured.append(gradient_norms(terms, student, scaler=scaler, share=share))
    optimizer.zero_grad(set_to_none=True)
    if share is not None and terms.distillation is not None:
        _backward_limited(terms, parameters, share, scaler)
    elif scaler is None:
        terms.total.backward()
    else:
        scaler.scale(terms.total).backward()
    if scaler is not None:
        scaler.unscale_(optimizer)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    if average is not None:
        average.update()
    return {**{name: value.detach() for name, value in terms.parts.items()}, "total": terms.total.detach()}


def _backward_limited(
    terms: Terms, parameters: list[nn.Parameter], share: float, scaler: torch.amp.GradScaler | None
) -> None:
    """Goes back twice through one forward pass, and leaves the joined gradients on the parameters."""
    task, distillation = terms.task, terms.distillation
    if task is None:
        raise InputError(
            'label_weight must be positive where distill_gradient is "limited", as it bounds by the gradient of the '
            'labels, got 0; raise it or set distill_gradient to "sum"'
        )
    assert distillation is not None
    if scaler is not None:
        # The bound is in proportion to what it bounds: it may be taken of scaled gradients.
        task, distillation = scaler.scale(task), scaler.scale(distillation)
    first = torch.autograd.grad(task, parameters, retain_graph=True, allow_unused=True)
    second = torch.autograd.grad(distillation, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, limit_gradients(first, second, share), strict=True):
        if gradient is not None and gradient.stride() != parameter.stride():
            # Fused optimisers go through both in the order of memory.
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient
