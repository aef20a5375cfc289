"""Balls of perturbations: steps towards their edge, back to them, and points in them, image by image."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from rolewise.errors import InputError, near

Norm = Literal["linf", "l2"]


def check_norm(norm: str) -> None:
    """Raises InputError unless the norm is known."""
    if norm not in get_args(Norm):
        raise InputError(f"norm must be a known one, got {norm!r}{near(norm, get_args(Norm))}")


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Returns the direction of length 1 along which each image's loss grows most.

    Its sign for ``linf``, the gradient over its Euclidean length for ``l2``; zero where the gradient is zero or is not
    finite.

    Args:
        gradient: [B, ...].
        norm: of the ball.
    """
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    if norm == "linf":
        return gradient.sign()
    # By its largest element first: the squares of a small gradient are zero in float32.
    largest = gradient.flatten(1).abs().amax(1).view(_column(gradient))
    gradient = gradient / largest.masked_fill(largest == 0, 1)
    length = _length(gradient)
    return gradient / length.masked_fill(length == 0, 1)


def project(perturbation: Tensor, radius: float, norm: Norm) -> Tensor:
    """Returns the nearest perturbation in the ball, for each image.

    Args:
        perturbation: [B, ...].
        radius: in the pixels' unit.
        norm: of the ball.
    """
    if norm == "linf":
        return perturbation.clamp(-radius, radius)
    length = _length(perturbation)
    return perturbation * (radius / length.masked_fill(length == 0, 1)).clamp(max=1)


def uniform(like: Tensor, radius: float, norm: Norm, generator: torch.Generator) -> Tensor:
    """Returns perturbations that are uniform in the ball, drawn where the generator lives.

    Args:
        like: [B, ...], whose shape, type and device the result gets.
        radius: in the pixels' unit.
        norm: of the ball.
        generator: of the draws.
    """
    where: dict[str, Any] = {"generator": generator, "device": generator.device, "dtype": like.dtype}
    if norm == "linf":
        cube: Tensor = torch.rand(like.shape, **where) * 2 - 1
        return cube.mul_(radius).to(like.device)
    direction = steepest(torch.randn(like.shape, **where), "l2")
    distance = torch.rand(len(like), **where).pow(1 / like[0].numel()) if len(like) else direction.new_zeros(0)
    return (direction * distance.view(_column(direction)) * radius).to(like.device)


def diameter(numbers: int, norm: Norm) -> float:
    """Returns the radius at which the ball about any image of so many pixel values holds all images."""
    return 1.0 if norm == "linf" else math.sqrt(numbers)


def _length(values: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return lengths.view(_column(values))


def _column(values: Tensor) -> tuple[int, ...]:
    return (len(values), *[1] * (values.ndim - 1))
