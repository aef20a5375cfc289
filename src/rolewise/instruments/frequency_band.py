"""Images of some of their frequencies alone."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.errors import InputError


def frequency_band(images: Tensor, radius: float, *, low: bool) -> Tensor:
    """Returns images of the frequencies below or above a radius; the mean of each channel stays in both.

    Args:
        images: uint8 [N, C, H, W].
        radius: as a part of the highest frequency along an axis, half a period in a pixel; positive.
        low: whether frequencies up to the radius are kept, or those above it.

    Returns:
        uint8 [N, C, H, W], cut off at 0 and 255.

    Raises:
        InputError: the images are of another kind, or the radius is not positive.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise InputError(f"images must be uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}")
    if not radius > 0:
        raise InputError(f"radius must be positive, a part of the highest frequency, got {radius}")
    height, width = images.shape[2:]
    device = images.device
    rows = torch.fft.fftfreq(height, device=device)[:, None]
    columns = torch.fft.rfftfreq(width, device=device)
    distance = 2 * (rows.square() + columns.square()).sqrt()
    kept = (distance <= radius) if low else (distance > radius)
    kept[0, 0] = True
    waves = torch.fft.rfft2(images.float())
    found: Tensor = torch.fft.irfft2(waves * kept, s=(height, width))
    return found.round().clamp(0, 255).to(torch.uint8)
