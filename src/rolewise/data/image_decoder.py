"""One image file as uint8 pixels: a stated rule for every kind of picture, or a refusal by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

import numpy as np

from rolewise.data.data_checks import check_memory
from rolewise.data.picture_pixels import as_picture, brought_to, decoded_jpeg, jpeg_in_memory
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
#: Formats whose further pictures are frames or pages; those of MPO are a camera's previews and depth maps.
_ANIMATED = {"GIF", "WEBP", "PNG", "TIFF", "AVIF"}


#: Ways to bring a picture to the size: cut at its edges, on a background, or with another aspect ratio.
Resize = Literal["crop", "pad", "squash"]
RESIZES: tuple[Resize, ...] = get_args(Resize)
#: The code that resamples. Their levels differ by 2 of 255 at the most, but at the edges of a crop, where Pillow also
#: sees the pixels beyond; torch takes less time.
Resampling = Literal["pillow", "torch"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)
#: A picture as its EXIF entry orients it, or as its pixels are stored.
Orientation = Literal["exif", "stored"]
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)
#: A grey level, or red, green and blue, each 0 to 255.
Colour = int | tuple[int, int, int]
_ORIENTATION_TAG = 0x0112


class FaultyImageError(InputError):
    """An image file is damaged, no image, or of a kind that has no rule."""


def decode_image(
    path: Path | BinaryIO,
    size: tuple[int, int],
    channels: int,
    background: Colour = 255,
    *,
    resize: Resize = "crop",
    orientation: Orientation = "exif",
    crop_ratio: float = 1.0,
    resampling: Resampling = "pillow",
    on_frames: Callable[[Path], None] | None = None,
) -> np.ndarray:
    """Reads one image file and brings it to a size.

    Of an animation or a file of several pages the first picture is read. What is transparent is laid over a
    background, palettes are looked up, CMYK and YCbCr are converted as Pillow does, and 16-bit grey levels are divided
    by 257. Other kinds of picture are refused.

    Args:
        path: the file, or an open one, such as the bytes of a picture in `io.BytesIO`.
        size: (H, W) in pixels.
        channels: 1 or 3.
        background: grey level or colour below what is transparent, and around a picture that is padded.
        resize: ``crop`` scales to cover the size and crops in the middle, ``pad`` scales to fit within it and centres
            the picture on the background, ``squash`` scales both sides apart.
        orientation: ``exif`` turns the picture as its EXIF entry orients it, ``stored`` leaves its pixels as they are.
        crop_ratio: of ``crop``, the fraction of the largest crop's sides that is kept, in [0.1, 1]; 224 / 256 is the
            usual resize to 256 pixels and centre crop of 224, in a single step.
        resampling: the code that interpolates: Pillow's, or torch's, which is faster.
        on_frames: called with the path of a file that holds several pictures.

    Returns:
        uint8 [C, H, W].

    Raises:
        FaultyImageError: the file is damaged, no image, or of a kind that has no rule.
        InputError: memory has no room for it.
    """
    from PIL import Image

    name = str(path) if isinstance(path, Path) else "the picture"
    mode = "L" if channels == 1 else "RGB"
    fitted = functools.partial(
        brought_to, size=size, resize=resize, crop_ratio=crop_ratio, background=background, resampling=resampling
    )
    if (known := jpeg_in_memory(path, mode, _LARGE)) is not None:
        return _channels_first(fitted(known))
    try:
        with Image.open(path, formats=picture_formats()) as image:
            _check_room(image, name)
            flat: Image.Image | np.ndarray | None = decoded_jpeg(image, mode)
            if flat is None:
                flat = _flattened(image, mode, background)
            if orientation == "exif" and (turn := turn_of(image)) is not None:
                flat = as_picture(flat).transpose(turn)
            pixels = fitted(flat)
            if on_frames is not None and isinstance(path, Path):
                # After the first picture: damage to a later one is no matter.
                with suppress(Exception):
                    if getattr(image, "is_animated", False) and image.format in _ANIMATED:
                        on_frames(path)
    except _NoRule as error:
        raise FaultyImageError(f"{name} {error}") from error
    except InputError:
        raise
    except Exception as error:
        # Pillow's decoders fail in whatever way the bytes happen to lead to.
        raise FaultyImageError(
            f"{name} cannot be read as an image ({why_unreadable(error)}); remove or replace it"
        ) from error
    return _channels_first(pixels)


def why_unreadable(error: Exception) -> str:
    """Returns the reason in a decoder's error, without the object or the path that Pillow names again."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "its content is of no picture format that is read"
    return f"{type(error).__name__}: {error}"


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _rgb(colour: Colour) -> tuple[int, int, int]:
    return (colour, colour, colour) if isinstance(colour, int) else (colour[0], colour[1], colour[2])


def turned(path: Path) -> bool:
    """Returns whether an image file's EXIF entry turns its pixels, by its head alone; False where it cannot be read."""
    from PIL import Image

    with suppress(Exception), Image.open(path, formats=picture_formats()) as image:
        return turn_of(image) is not None
    return False


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Returns the turn of a loaded picture's EXIF entry; None where it stands upright, or the entry means nothing."""
    from PIL import Image

    ways = Image.Transpose
    turns = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_270,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_90,
    }
    # Damaged EXIF is no damage to the pixels; a TIFF is turned by Pillow as it is loaded.
    with suppress(Exception):
        return None if image.format == "TIFF" else turns.get(image.getexif().get(_ORIENTATION_TAG, 1))
    return None


class _NoRule(Exception):
    """A picture is of a kind that 8 bits cannot hold without a choice that is the user's."""


def _check_room(image: Image.Image, name: str) -> None:
    """Refuses a picture by the size in its head, before its pixels are decoded."""
    pixels = image.width * image.height
    if pixels > _LARGE:
        # Four bytes for each pixel, and three pictures at a time: as stored, on its background, converted.
        check_memory(12 * pixels, f"{name} ({image.width:,} x {image.height:,} pixels)", "make it smaller")


@functools.lru_cache(maxsize=1)
def picture_formats() -> tuple[str, ...]:
    """Returns the names of the formats that are read as pictures, of those that this Pillow has."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _flattened(image: Image.Image, mode: str, background: Colour) -> Image.Image:
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
        ground = Image.new("RGBA", picture.size, (*_rgb(background), 255))
        return Image.alpha_composite(ground, picture).convert(mode)
    if image.mode not in _PLAIN:
        raise _NoRule(
            f"must be a picture of 8 or 16 bits in grey, RGB, CMYK or YCbCr, or with a palette or alpha, "
            f"got Pillow's mode {image.mode}; convert it to 8 bits first"
        )
    return image.convert("RGB").convert(mode) if image.mode in ("CMYK", "YCbCr", "HSV", "RGBX") else image.convert(mode)
