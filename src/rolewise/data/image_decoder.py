"""One image file as uint8 pixels: a stated rule for every kind of picture, or a refusal by name."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rolewise.data.data_checks import check_memory
from rolewise.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

#: Decoders of pictures alone: no format that runs a program, such as EPS, whatever a file is called.
_FORMATS = ("PNG", "JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "BMP", "DIB", "GIF", "PPM", "TIFF", "TGA", "ICO")
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
#: Pixels from which on memory is looked at; asking costs more than decoding a small picture.
_LARGE = 1 << 24
_PLAIN = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}


def decode_image(path: Path, size: tuple[int, int], channels: int, background: int = 255) -> np.ndarray:
    """Reads one image file, scales it to cover a size and crops it in the middle.

    Of an animation or a file of several pages the first picture is read. What is transparent is laid over a grey
    background, palettes are looked up, CMYK and YCbCr are converted as Pillow does, and 16-bit grey levels are divided
    by 257. Other kinds of picture are refused.

    Args:
        path: the file.
        size: (H, W) in pixels.
        channels: 1 or 3.
        background: grey level 0 to 255 below what is transparent.

    Returns:
        uint8 [C, H, W].

    Raises:
        InputError: the file is damaged, no image, or of a kind that has no rule.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_formats()) as image:
            _check_room(image, path)
            flat = _flattened(image, "L" if channels == 1 else "RGB", background)
            pixels = np.asarray(ImageOps.fit(flat, (size[1], size[0])), np.uint8)
    except _NoRule as error:
        raise InputError(f"{path} {error}") from error
    except InputError:
        raise
    except Exception as error:
        # Pillow's decoders fail in whatever way the bytes happen to lead to.
        raise InputError(
            f"{path} cannot be read as an image ({type(error).__name__}: {error}); remove or replace it"
        ) from error
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


class _NoRule(Exception):
    """A picture is of a kind that 8 bits cannot hold without a choice that is the user's."""


def _check_room(image: Image.Image, path: Path) -> None:
    """Refuses a picture by the size in its head, before its pixels are decoded."""
    pixels = image.width * image.height
    if pixels > _LARGE:
        # Four bytes for each pixel, and three pictures at a time: as stored, on its background, converted.
        check_memory(12 * pixels, f"{path} ({image.width:,} x {image.height:,} pixels)", "make it smaller")


@functools.lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _flattened(image: Image.Image, mode: str, background: int) -> Image.Image:
    """Returns a picture as ``L`` or ``RGB``."""
    from PIL import Image

    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM")):
        # Older Pillow calls the grey levels of such files I.
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)).convert(mode)
    if image.mode in _WITH_ALPHA or (image.mode in _PLAIN and "transparency" in image.info):
        # Premultiplied colours have no direct way to RGBA.
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
        picture = image.convert(straight).convert("RGBA")
        ground = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(ground, picture).convert(mode)
    if image.mode not in _PLAIN:
        raise _NoRule(
            f"must be a picture of 8 or 16 bits in grey, RGB, CMYK or YCbCr, or with a palette or alpha, "
            f"got Pillow's mode {image.mode}; convert it to 8 bits first"
        )
    return image.convert("RGB").convert(mode) if image.mode in ("CMYK", "YCbCr", "HSV", "RGBX") else image.convert(mode)
