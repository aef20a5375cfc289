"""The input of a network: size, channels and normalisation, declared beside the network."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError


@dataclass(frozen=True)
class InputSpec:
    """The input that one network expects.

    Args:
        mean: per-channel mean of pixels in [0, 1], length C.
        std: per-channel standard deviation of pixels in [0, 1], length C, positive.
        size: (H, W) in pixels, or None to take images as they are.
        interpolation: ``bilinear`` or ``bicubic``, of the resizing; both without aliasing.

    Raises:
        InputError: the lengths differ, a mean is not finite, a deviation is not positive, or the size is not.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise InputError(f"mean and std must both have 1 or 3 values, got {len(self.mean)} and {len(self.std)}")
        if not all(math.isfinite(value) for value in self.mean):
            raise InputError(f"mean must be finite, got {list(self.mean)}")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise InputError(f"std must be positive and finite, got {list(self.std)}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise InputError(f'interpolation must be "bilinear" or "bicubic", got {self.interpolation!r}')
        if self.size is not None:
            object.__setattr__(self, "size", tuple(int(value) for value in self.size))
            if len(self.size) != 2 or min(self.size) < 1:
                raise InputError(f"size must be two positive numbers, height and width, got {list(self.size)}")

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return len(self.mean)


def prepare(images: Tensor, spec: InputSpec) -> Tensor:
    """Makes a network's input out of images: channels, size, then (pixel - mean) / std.

    Args:
        images: [B, C, H, W], uint8 in [0, 255] or floating point in [0, 1].
        spec: the network's input. One channel is repeated to three where three are wanted.

    Returns:
        [B, C', H', W'] floating point (float32 for uint8 images).

    Raises:
        InputError: the images do not have four dimensions, are of another integer type, or their channels do not fit.
    """
    if images.ndim != 4:
        raise InputError(f"images must have shape [B, C, H, W], got {list(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(
            f"images must be uint8 or floating point, got {images.dtype}; convert them with .to(torch.uint8)"
        )
    channels = images.shape[1]
    if channels != spec.channels:
        if channels != 1:
            raise InputError(f"images must have {spec.channels} channels for this network, got {channels}")
        images = images.expand(-1, spec.channels, -1, -1)
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    pixels = images.float() if images.dtype == torch.uint8 else images
    if spec.size is not None and tuple(images.shape[-2:]) != spec.size:
        how = spec.interpolation
        pixels = functional.interpolate(pixels, size=spec.size, mode=how, align_corners=False, antialias=True)
        if how == "bicubic":
            pixels = pixels.clamp(0, scale)  # it swings over at edges
    mean, std = (_column(values, scale, pixels.dtype, pixels.device) for values in (spec.mean, spec.std))
    return (pixels - mean) / std


def call(network: nn.Module, inputs: Any) -> Any:
    """Returns the output of a network for prepared inputs.

    Args:
        network: any network.
        inputs: given as they are; a mapping is given by keyword.
    """
    # A tensor first: asking whether it is a mapping takes longer than the call.
    if not isinstance(inputs, Tensor) and isinstance(inputs, Mapping):
        return network(**inputs)
    return network(inputs)


@functools.lru_cache(maxsize=64)
def _column(values: tuple[float, ...], scale: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Kept, because making a tensor on a device waits for it, and every step needs the same two.
    return torch.tensor([value * scale for value in values], dtype=dtype, device=device).view(1, -1, 1, 1)
