"""Adversarial images with boxes, and images of as large a noise beside them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.robustness.diverse_inputs import Shrinking, di_fgsm
from rolewise.networks import evaluating


def adversarial_boxed_images(
    network: nn.Module,
    images: ImageData,
    loss: Callable[[Batch], Tensor],
    spec: InputSpec,
    *,
    radius: int,
    generator: torch.Generator,
    steps: int = 5,
    batch_size: int = 25,
) -> Tensor:
    """Returns images near the given ones that raise a detector's loss, by `di_fgsm`; boxes move with their objects.

    Args:
        network: the detector; it runs in eval mode.
        images: with boxes.
        loss: of the network on a batch of prepared inputs and targets with boxes, a scalar.
        spec: preparation of the network's inputs.
        radius: of the ball in the maximum norm, in grey levels, from 1 to 255.
        generator: of sizes and places.
        steps: number of steps, at least 1.
        batch_size: images at once.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        InputError: the radius is out of its range.
    """
    _check(radius)

    def attacked(rows: Tensor) -> Tensor:
        targets = box_list(images.labels[rows])

        def of_images(moved: Tensor, shrinking: Shrinking) -> Tensor:
            return loss(Batch(prepare(moved, spec), shrinking.boxes(targets, images.size)))

        moved = di_fgsm(images.images[rows], of_images, epsilon=radius / 255, steps=steps, generator=generator)
        return (moved * 255).round().to(torch.uint8)

    with evaluating(network):
        return torch.cat([attacked(rows) for rows in torch.split(torch.arange(len(images)), batch_size)])


def corner_noise(images: Tensor, radius: int, generator: torch.Generator) -> Tensor:
    """Returns images at corners of the ball that an attack has, drawn and not found: the attack's control.

    Args:
        images: uint8 [N, C, H, W].
        radius: of the ball in the maximum norm, in grey levels, from 1 to 255.
        generator: of the corners.

    Returns:
        uint8 [N, C, H, W], cut off at 0 and 255.

    Raises:
        InputError: the radius is out of its range.
    """
    _check(radius)
    signs = torch.randint(0, 2, images.shape, generator=generator, dtype=torch.int16) * 2 - 1
    return (images.to(torch.int16) + radius * signs).clamp(0, 255).to(torch.uint8)


def _check(radius: int) -> None:
    if not 1 <= radius <= 255:
        raise InputError(f"radius must be from 1 to 255 grey levels, got {radius}")
