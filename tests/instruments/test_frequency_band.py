"""Bands of frequencies: parts that add up, single waves that stay or go, and refusals."""

from __future__ import annotations

import math

import pytest
import torch

from rolewise.errors import InputError
from rolewise.instruments import frequency_band

SIZE = (48, 64)


def test_bands_are_parts_of_an_image() -> None:
    image = torch.randint(60, 200, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = (image.float() - 128).mul(0.3).add(128).round().to(torch.uint8)
    low, high = (frequency_band(image, 0.3, low=one).float() for one in (True, False))
    mean = image.float().mean((2, 3), keepdim=True)
    assert float((low + high - mean - image).abs().max()) <= 1
    assert torch.equal(frequency_band(image, 1.5, low=True), image)


@pytest.mark.parametrize(("waves", "stays"), [(2, True), (16, False)])
def test_a_single_wave_is_below_or_above(waves: int, stays: bool) -> None:
    # 2 and 16 of 32 waves, the highest frequency, are 1/16 and 1/2 of it.
    wave = 128 + 50 * torch.sin(2 * math.pi * waves * torch.arange(64) / 64)
    image = wave.round().to(torch.uint8).expand(1, 1, *SIZE)
    kept, lost = (frequency_band(image, 0.25, low=one) for one in (stays, not stays))
    assert int((kept.int() - image.int()).abs().max()) <= 1 and int((lost.int() - 128).abs().max()) <= 1


def test_other_images_and_no_radius_are_refused() -> None:
    with pytest.raises(InputError, match="images must be uint8"):
        frequency_band(torch.rand(1, 3, 8, 8), 0.5, low=True)
    with pytest.raises(InputError, match="radius must be positive"):
        frequency_band(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 0.0, low=True)
