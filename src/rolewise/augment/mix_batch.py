"""Mixing applied: images and soft labels of a plan, and mixup and CutMix of one batch as plain functions."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment.mix import Mix
from rolewise.augment.mix_plan import MixPlan
from rolewise.errors import InputError


def mix_images(images: Tensor, plan: MixPlan) -> Tensor:
    r"""Applies a plan to images.

    .. math:: \tilde x = r \, x_\mathrm{source} + (1 - r) \, x_\mathrm{partner}

    where whole images are blended; where there are boxes, the pixels in the box are the partner's.

    Args:
        images: [B, C, H, W], uint8 in [0, 255] or floating point. Not changed.
        plan: of M rows, on the same device.

    Returns:
        [M, C, H, W]. Blended uint8 images become float32 in [0, 1], since rounding back to grey levels would lose what
        the ratio gives; CutMix, which only moves pixels, keeps the type.
    """
    # Mostly the rows are the images themselves, in order: then nothing need be gathered. Elsewhere than on a CPU to ask
    # costs more than to gather.
    same = plan.sources.device.type == "cpu" and torch.equal(plan.sources, torch.arange(len(images)))
    own, other = images if same else images[plan.sources], images[plan.partners]
    if plan.boxes is not None:
        return torch.where(_inside(plan.boxes, images.shape[2], images.shape[3]), other, own)
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    dtype = torch.float32 if images.dtype == torch.uint8 else images.dtype
    ratios = plan.ratios.to(dtype).view(-1, 1, 1, 1)
    blended = own.to(dtype, copy=True).mul_(ratios / scale)
    return blended.addcmul_(other.to(dtype), (1 - ratios) / scale)


def mix_labels(labels: Tensor, plan: MixPlan, num_classes: int) -> Tensor:
    r"""Returns soft labels [M, K] float32.

    .. math:: \tilde y = r \, e_{y_\mathrm{source}} + (1 - r) \, e_{y_\mathrm{partner}}

    Args:
        labels: int64 [B].
        plan: of M rows, on the same device.
        num_classes: K.
    """
    soft = torch.zeros(len(plan), num_classes, device=labels.device)
    pairs = torch.stack([labels[plan.sources], labels[plan.partners]], 1)
    ratios = plan.ratios.float()
    return soft.scatter_add_(1, pairs, torch.stack([ratios, 1 - ratios], 1))


def _inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Returns [M, 1, H, W] bool, which pixels are in the boxes."""
    top, left, bottom, right = boxes.view(-1, 4, 1).unbind(1)
    rows, columns = (torch.arange(side, device=boxes.device) for side in (height, width))
    tall, wide = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    return (tall.unsqueeze(2) & wide.unsqueeze(1)).unsqueeze(1)


def mixup_batch(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    generator: torch.Generator | None = None,
    *,
    alpha: float = 1.0,
    partners: Tensor | None = None,
    ratios: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Blends each image of a batch with another.

    Args:
        images: [B, C, H, W], uint8 or floating point.
        labels: int64 [B].
        num_classes: K.
        generator: of what is not given.
        alpha: of the ratios' Beta distribution, above 0.
        partners: int64 [B], instead of a draw.
        ratios: [B] in [0, 1], instead of a draw.

    Returns:
        Images [B, C, H, W] (float32 in [0, 1] for uint8 ones) and soft labels [B, K].
    """
    plan = Mix(alpha=alpha).draw(labels.cpu(), _size(images), _drawing(generator, partners, ratios))
    plan = MixPlan(plan.sources, *_given(plan, partners, ratios)).check(len(images)).to(images.device)
    return mix_images(images, plan), mix_labels(labels, plan, num_classes)


def cutmix_batch(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    generator: torch.Generator | None = None,
    *,
    alpha: float = 1.0,
    partners: Tensor | None = None,
    boxes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Puts a box of another image into each image of a batch; the labels' ratio is the box's exact part of the area.

    Args:
        images: [B, C, H, W], uint8 or floating point.
        labels: int64 [B].
        num_classes: K.
        generator: of what is not given.
        alpha: of the areas' Beta distribution, above 0.
        partners: int64 [B], instead of a draw.
        boxes: int64 [B, 4] (top, left, bottom, right) within the image, instead of a draw.

    Returns:
        Images [B, C, H, W] of the same type, and soft labels [B, K].
    """
    plan = Mix("cutmix", alpha).draw(labels.cpu(), _size(images), _drawing(generator, partners, boxes))
    ratios, (height, width) = None, _size(images)
    if boxes is not None:
        if len(boxes) and (int(boxes[:, 2].max()) > height or int(boxes[:, 3].max()) > width):
            raise InputError(f"boxes must lie within images of {height} x {width}; cut them off")
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1).double()
        ratios = (1 - area / (height * width)).float()
    corners = plan.boxes if boxes is None else boxes.cpu()
    plan = MixPlan(plan.sources, *_given(plan, partners, ratios), corners).check(len(images)).to(images.device)
    return mix_images(images, plan), mix_labels(labels, plan, num_classes)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _drawing(generator: torch.Generator | None, *given: Tensor | None) -> torch.Generator:
    if generator is None and any(some is None for some in given):
        raise InputError("generator must be given where something is to be drawn, got None; pass a torch.Generator")
    return generator if generator is not None else torch.Generator()


def _given(plan: MixPlan, partners: Tensor | None, ratios: Tensor | None) -> tuple[Tensor, Tensor]:
    return (
        plan.partners if partners is None else partners.cpu(),
        plan.ratios if ratios is None else ratios.float().cpu(),
    )
