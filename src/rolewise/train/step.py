"""One training step, from a batch to moved weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.distill import Distiller
from rolewise.train.ema import Average

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train_step(
    distiller: Distiller,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    teacher_images: Tensor | None,
    *,
    progress: float,
    learning_rate: float,
    precision: str = "float32",
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    parameters: list[nn.Parameter],
    average: Average | None = None,
) -> dict[str, Tensor]:
    """Does one step.

    Args:
        distiller: student, teacher and loss.
        optimizer: of the student.
        images: uint8 [B, C, H, W] as the student sees them.
        labels: int64 [B] or soft [B, K].
        teacher_images: as the teacher sees them; None for the student's.
        progress: fraction of training done, in [0, 1].
        learning_rate: of this step.
        precision: ``float32``, or a half precision for the forward passes.
        scaler: of the loss, for float16.
        clip_norm: bound of the gradient's norm.
        parameters: what is trained.
        average: of the student's weights, to follow it.

    Returns:
        The terms of the loss, detached, and their weighted sum ``total``.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    if precision == "float32":
        terms = distiller(images, labels, teacher_images=teacher_images, progress=progress)
    else:
        with torch.autocast(images.device.type, _DTYPES[precision]):
            terms = distiller(images, labels, teacher_images=teacher_images, progress=progress)
    optimizer.zero_grad(set_to_none=True)
    if scaler is None:
        terms.total.backward()
    else:
        scaler.scale(terms.total).backward()
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
