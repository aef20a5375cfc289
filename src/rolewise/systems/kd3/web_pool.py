"""A pool as the web would give it: digits in another style, and pictures of something else, none with a label."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rolewise.augment import Policy, apply
from rolewise.data import read
from rolewise.errors import InputError
from rolewise.seeds import generator

Irrelevant = Literal["fashion_mnist", "photographs"]
#: Operations that change the style of a digit, each with its value at the full shift and a random sign.
_STYLE = {"rotate": 20.0, "shear_x": 0.3, "contrast": 0.6, "brightness": 0.6}
_SIDE, _CROP = 8, 56


def shifted_style(images: Tensor, shift: float, draws: torch.Generator) -> Tensor:
    """Returns images in another style: turned, sheared, and of other contrast and brightness.

    Args:
        images: uint8 [N, 1, H, W].
        shift: share of the full change; 0 leaves the images as they are.
        draws: generator of the signs.

    Returns:
        uint8 [N, 1, H, W].
    """
    ranges = {name: shift * value for name, value in _STYLE.items()}
    policy = Policy(counts=(1.0,), base=tuple(_STYLE), ranges=ranges)
    plan = policy.draw(len(images), (images.shape[1], images.shape[2], images.shape[3]), draws)
    return apply(images, plan, interpolation="bilinear")


def irrelevant_images(source: Irrelevant, count: int, draws: torch.Generator) -> Tensor:
    """Returns pictures that show no digit, averaged down to 8x8 pixels.

    Args:
        source: ``fashion_mnist``, articles of clothing; or ``photographs``, squares of the two photographs that come
            with scikit-learn.
        count: N.
        draws: generator of the choice.

    Returns:
        uint8 [N, 1, 8, 8].

    Raises:
        InputError: the files of Fashion-MNIST are not there.
    """
    if source == "fashion_mnist":
        try:
            data = read("fashion_mnist").train
        except InputError as error:
            raise InputError(f"irrelevant must be photographs where Fashion-MNIST is not there: {error}") from error
        large = data.batch(torch.randperm(len(data), generator=draws)[:count].sort().values).float()
    else:
        from sklearn.datasets import load_sample_images

        # Of three colours the mean; both photographs have one size.
        photographs = torch.stack([torch.tensor(image).float().mean(dim=2) for image in load_sample_images().images])
        which = torch.randint(len(photographs), (count,), generator=draws)
        top, left = (torch.randint(side - _CROP, (count,), generator=draws) for side in photographs.shape[1:])
        squares = [
            photographs[number, y : y + _CROP, x : x + _CROP]
            for number, y, x in zip(which.tolist(), top.tolist(), left.tolist(), strict=True)
        ]
        large = torch.stack(squares)[:, None]
    return F.adaptive_avg_pool2d(large, _SIDE).round().to(torch.uint8)


def check_web_classes(labels: Tensor, seed: int) -> None:
    """Raises InputError where a class has no picture among the digits of the web.

    Args:
        labels: of these digits, int64 [M].
        seed: that they were divided by.
    """
    missing = (torch.bincount(labels, minlength=10) == 0).nonzero()[:, 0].tolist()
    if missing:
        raise InputError(
            f"shifted must give each class web pictures, and of {len(labels)} digits none is of class "
            f"{', '.join(map(str, missing))} with seed {seed}; raise it"
        )


def web_pool(
    digits: tuple[Tensor, Tensor], shift: float, irrelevant: Irrelevant, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Returns the pictures of the web, and which of them show digits, for measurement alone.

    Args:
        digits: images float32 [M, 1, 8, 8] in [0, 1] that only the web has, and their classes.
        shift: of their style, in [0, 1].
        irrelevant: source of the pictures of something else.
        count: number of those.
        seed: of the repetition.

    Returns:
        Images float32 [M + count, 1, 8, 8] in [0, 1], the digits first, and bool [M + count].

    Raises:
        InputError: a class has no picture.
    """
    images, labels = digits
    check_web_classes(labels, seed)
    pixels = (images * 255).round().to(torch.uint8)
    shown = shifted_style(pixels, shift, generator(seed, "web", "style"))
    other = irrelevant_images(irrelevant, count, generator(seed, "web", "irrelevant"))
    pool = torch.cat([shown, other]).float() / 255
    return pool, torch.arange(len(pool)) < len(shown)
