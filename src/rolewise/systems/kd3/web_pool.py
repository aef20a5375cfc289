"""A pool as the web would give it: digits in another style, and pictures of something else, none with a label."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rolewise.augment.style_shift import shifted_style
from rolewise.data import read
from rolewise.data.confident_choice import Confidence
from rolewise.data.photograph_squares import photograph_squares
from rolewise.errors import InputError
from rolewise.seeds import generator

Irrelevant = Literal["fashion_mnist", "photographs"]
_SIDE, _CROP = 8, 56


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
        large = photograph_squares(count, _CROP, draws)
    return F.adaptive_avg_pool2d(large, _SIDE).round().to(torch.uint8)


def check_web_classes(labels: Tensor, seed: int) -> None:
    """Raises InputError where a class has no picture among the digits of the web.

    Args:
        labels: of these digits, int64 [M].
        seed: that they were divided by.
    """
    if missing := _missing(labels, 10):
        raise InputError(
            f"shifted must give each class web pictures, and of {len(labels)} digits none is of class {missing} with "
            f"seed {seed}; raise it"
        )


def check_every_class(confidence: Confidence, classes: int) -> None:
    """Raises InputError where a class has no web picture that the teacher takes for it.

    Args:
        confidence: the teacher's.
        classes: K.
    """
    if missing := _missing(confidence.taken_for, classes):
        raise InputError(
            f"every class must have a web picture, and of {len(confidence.taken_for)} the teacher takes none for class "
            f"{missing}; raise shifted, or lower shift"
        )


def _missing(labels: Tensor, classes: int) -> str:
    return ", ".join(map(str, (torch.bincount(labels, minlength=classes) == 0).nonzero()[:, 0].tolist()))


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
