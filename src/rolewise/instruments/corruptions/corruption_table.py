"""The table of corruptions: name -> what it does and its five strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.errors import InputError, near
from rolewise.instruments.corruptions import blurs, digital, noise, weather


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Args:
        group: ``noise``, ``blur``, ``weather`` or ``digital``.
        apply: float images [B, C, H, W] in [0, 1], one strength and a generator -> float images, not yet cut off.
        strengths: five, from the weakest to the strongest: the source's, where they grow with strength.
        published: the source's five, where they are others.
        channels: of the images that it makes sense for.
    """

    group: str
    apply: Callable[[Tensor, Any, torch.Generator], Tensor]
    strengths: tuple[Any, ...]
    published: tuple[Any, ...] | None = None
    channels: tuple[int, ...] = (1, 3)


_BOTH = (1, 3)
_SNOW = (
    (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)

#: Every number is one of ``make_cifar_c.py``, see `corrupt`, but for the even steps towards its strongest.
CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption("noise", noise.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": Corruption("noise", noise.shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": Corruption("noise", noise.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle_noise": Corruption("noise", noise.speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian_blur": Corruption("blur", blurs.gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "defocus_blur": Corruption("blur", blurs.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": Corruption(
        "blur",
        blurs.glass_blur,
        tuple((0.4, 1, 2, k / 5) for k in range(1, 6)),
        published=((0.05, 1, 1, 1), (0.25, 1, 1, 1), (0.4, 1, 1, 1), (0.25, 1, 2, 1), (0.4, 1, 2, 1)),
    ),
    # The third and the fourth of the source are alike: 6 pixels hold all of a half Gaussian of deviation 2.
    "motion_blur": Corruption(
        "blur",
        blurs.motion_blur,
        ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.25), (9, 2.5)),
        published=((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    ),
    # What the source's np.arange(1, 1.06, 0.01) and so on give: enlarged by up to 6%, 11%, 15%, 20% and 25%.
    "zoom_blur": Corruption("blur", blurs.zoom_blur, (6, 11, 15, 20, 25)),
    "brightness": Corruption("weather", weather.brightened, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "fog": Corruption("weather", weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    # The third of the source changes pixels no more than its second; the second's level makes more flakes of it.
    "snow": Corruption("weather", weather.snow, (*_SNOW[:2], (0.15, 0.3, 1.75, 0.5, 10, 4, 0.9), *_SNOW[3:]), _SNOW),
    "contrast": Corruption("digital", digital.less_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "saturate": Corruption(
        "digital",
        digital.saturate,
        tuple((1 + 0.3 * k, 0.04 * k) for k in range(1, 6)),
        published=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        channels=(3,),
    ),
    "elastic": Corruption(
        "digital",
        digital.elastic,
        tuple((0.02 * k, 0.03, 0.006 * k) for k in range(1, 6)),
        published=((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": Corruption("digital", digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": Corruption("digital", digital.jpeg, (80, 65, 58, 50, 40)),
}


def corruption_names(channels: int = 3) -> tuple[str, ...]:
    """Returns the names of the corruptions that make sense for images of so many channels."""
    return tuple(name for name, corruption in CORRUPTIONS.items() if channels in corruption.channels)


@torch.no_grad()
def corrupt(images: Tensor, name: str, strength: int, generator: torch.Generator, *, published: bool = False) -> Tensor:
    """Corrupts a batch of images on their device, each with draws of its own.

    Numbers of pixels are those for 32x32 images. They grow with the shorter side over 32 and do not shrink below it;
    shares, levels, zooms and noise stay as they are, and a cloud or a warp spans the image whatever its size.

    Source: Hendrycks, Dietterich (2019), section 3, https://arxiv.org/abs/1903.12261; strengths and recipes of
    ``ImageNet-C/create_c/make_cifar_c.py`` in https://github.com/hendrycks/robustness, which made CIFAR-10-C.
    Differs from source: levels are rounded, not cut down. The source's strengths of ``glass_blur``, ``saturate`` and
    ``elastic`` do not grow with strength; here they go in even steps to the source's strongest. So do the fourth of
    ``motion_blur`` and the third of ``snow``, which are changed. ``published`` selects the source's. ``elastic``
    resamples once instead of twice. ``zoom_blur`` enlarges about the exact middle, where the source is off by up to a
    pixel: at strengths 1 to 5 its root mean square distance to the clean image is .55, .82, .88, .92 and .95 of the
    source's (300 test images of CIFAR-100). ``glass_blur`` swaps where the source by a slip copies: with the source's
    strengths 1.32, 1.34, 1.27, 1.15 and 1.08 of the source's distance.
    ``frost`` (needs photographs) and ``spatter`` (OpenCV's edges and distances) are left out.

    Args:
        images: uint8 [B, C, H, W], C 1 or 3, at least 8x8.
        name: one of `CORRUPTIONS`.
        strength: 1 to 5.
        generator: of all draws; they are made on its device.
        published: whether to take the source's strengths where they are others.

    Returns:
        uint8 [B, C, H, W].

    Raises:
        InputError: the name or the strength is not known, or the images are of another kind.
    """
    corruption = check_corruption(name, strength, images)
    if not len(images):
        return images.clone()
    strengths = (corruption.published if published else None) or corruption.strengths
    changed = corruption.apply(images.float() / 255, strengths[strength - 1], generator)
    return (changed * 255).round_().clamp_(0, 255).to(torch.uint8)


def check_corruption(name: str, strength: int, images: Tensor) -> Corruption:
    """Returns a corruption by its name, or raises InputError where it cannot be applied to such images."""
    if name not in CORRUPTIONS:
        raise InputError(f"no such corruption: {name!r}{near(name, CORRUPTIONS)}")
    if isinstance(strength, bool) or strength not in range(1, 6):
        raise InputError(f"strength must be 1, 2, 3, 4 or 5, got {strength!r}")
    found = CORRUPTIONS[name]
    shape = list(images.shape)
    if images.dtype != torch.uint8 or images.ndim != 4 or shape[1] not in _BOTH or min(shape[2:]) < 8:
        raise InputError(
            f"images must be uint8 [B, C, H, W] with C 1 or 3 and at least 8x8 pixels, got {images.dtype} {shape}; "
            "turn pixels in [0, 1] into levels with (images * 255).round().to(torch.uint8)"
        )
    if shape[1] not in found.channels:
        raise InputError(f"{name} must be given images of 3 channels, got 1; leave it out for grey images")
    return found


def chosen_corruptions(names: Sequence[str] | None, channels: int) -> tuple[str, ...]:
    """Returns the chosen names, or all that suit so many channels."""
    return corruption_names(channels) if names is None else tuple(names)
