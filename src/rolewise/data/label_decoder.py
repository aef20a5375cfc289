"""One mask file as whole numbers: palettes are kept as their numbers, and nothing is mixed or scaled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from rolewise.data.image_decoder import FaultyImageError, Orientation, Resize, picture_formats, turn_of, why_unreadable
from rolewise.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

#: Modes of pictures with one number for each pixel: black and white, grey or palette, 16 bits.
_NUMBERS = ("1", "L", "P", "I;16", "I;16L", "I;16B", "I")


def decode_labels(
    path: Path, size: tuple[int, int], *, resize: Resize, outside: int, check: Callable[[np.ndarray], object]
) -> np.ndarray:
    """Reads a mask file and brings it to a size as `decode_image` does with its image, by the nearest pixel.

    Args:
        path: the file: a grey picture of 8 or 16 bits, or one with a palette, whose entries' numbers are the labels.
        size: (H, W) in pixels.
        resize: as of the image.
        outside: the label around a picture that is padded.
        check: raises where the file's own numbers, int32 [h, w], are none that it may hold; resizing loses some.

    Returns:
        int32 [H, W].

    Raises:
        FaultyImageError: the file is damaged, or has several numbers for each pixel.
    """
    from PIL import Image, ImageOps

    nearest, target = Image.Resampling.NEAREST, (size[1], size[0])
    try:
        with Image.open(path, formats=picture_formats()) as image:
            if image.mode not in _NUMBERS:
                raise FaultyImageError(
                    f"{path} must have one number for each pixel, got Pillow's mode {image.mode}; save the mask's "
                    "class numbers as a grey or palette PNG"
                )
            # As whole numbers of 32 bits, which Pillow resizes without a palette.
            stored = np.asarray(image).astype(np.int32)
            numbers = Image.fromarray(stored)
    except InputError:
        raise
    except Exception as error:
        raise FaultyImageError(
            f"{path} cannot be read as a mask ({why_unreadable(error)}); remove or replace it"
        ) from error
    if stored.min() < 0 or stored.max() > 65535:
        raise FaultyImageError(f"{path} must hold numbers from 0 to 65,535, got {stored.min()} to {stored.max()}")
    check(stored)
    if resize == "crop":
        numbers = ImageOps.fit(numbers, target, method=nearest)
    elif resize == "squash":
        numbers = numbers.resize(target, nearest)
    else:
        numbers = _padded(numbers, target, outside)
    return np.asarray(numbers)


def _padded(numbers: Image.Image, target: tuple[int, int], outside: int) -> Image.Image:
    """Returns a mask scaled to fit within a size (W, H), in the middle of a label."""
    from PIL import Image

    scale = min(target[0] / numbers.width, target[1] / numbers.height)
    fitted = max(1, round(numbers.width * scale)), max(1, round(numbers.height * scale))
    ground = Image.new("I", target, outside)
    place = (target[0] - fitted[0]) // 2, (target[1] - fitted[1]) // 2
    ground.paste(numbers.resize(fitted, Image.Resampling.NEAREST), place)
    return ground


def stored_size(path: Path | BinaryIO, orientation: Orientation) -> tuple[int, int]:
    """Returns the width and height of a picture in pixels, by its head alone.

    Args:
        path: the file, or an open one.
        orientation: ``exif`` gives those after the turn of its EXIF entry.

    Raises:
        FaultyImageError: the file is no image.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=picture_formats()) as image:
            turn = turn_of(image) if orientation == "exif" else None
            turned = turn is not None and turn.name in ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")
            return (image.height, image.width) if turned else (image.width, image.height)
    except Exception as error:
        raise FaultyImageError(
            f"{path} cannot be read as an image ({why_unreadable(error)}); remove or replace it"
        ) from error
