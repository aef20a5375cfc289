"""The two costly steps from an image file to pixels: decoding a JPEG file, and resampling to a size."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from rolewise.data.image_decoder import Colour, Resampling, Resize


@functools.cache
def _simplejpeg() -> Callable[..., np.ndarray] | None:
    """Returns simplejpeg's decoder where it is installed; the same library as Pillow's, without its copies."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return decode_jpeg  # type: ignore[no-any-return]


def decoded_jpeg(image: Image.Image, mode: str) -> np.ndarray | None:
    """Returns the pixels of an opened picture as simplejpeg decodes them; None where Pillow must do that.

    Both are libjpeg-turbo with its defaults, and give the same pixels. A file that simplejpeg warns of is left to
    Pillow, whose rule it is what a damaged file is.

    Args:
        image: opened from a file, not decoded yet.
        mode: ``L`` or ``RGB``, the mode that is wanted; a picture of another is left to Pillow.
    """
    decode: Any = _simplejpeg()
    file: Any = getattr(image, "fp", None)
    if decode is None or file is None or image.format != "JPEG" or image.mode != mode:
        return None
    file.seek(0)
    try:
        pixels: np.ndarray = decode(file.read(), "GRAY" if mode == "L" else "RGB", strict=True)
    except Exception:  # of whatever kind: Pillow is asked next
        return None
    return pixels[:, :, 0] if mode == "L" else pixels


def jpeg_in_memory(file: object, mode: str, most: int) -> np.ndarray | None:
    """Returns the pixels of a JPEG file in memory without Pillow, whose reading of the head takes a quarter as long.

    The pixels are those that Pillow would give. What may turn the picture (EXIF and XMP entries, which stand in
    segments of one kind), further pictures in the file, other colours and damage are left to Pillow.

    Args:
        file: an open file, `io.BytesIO` at its beginning.
        mode: ``L`` or ``RGB``, the mode that is wanted.
        most: pixels from which on the picture is left to Pillow.

    Returns:
        uint8 [H, W] or [H, W, 3]; None where Pillow must decode it.
    """
    decode: Any = _simplejpeg()
    if decode is None or not isinstance(file, io.BytesIO) or file.tell():
        return None
    content = file.getvalue()
    # Within compressed pixels no marker occurs; in other segments these bytes at most send a picture to Pillow.
    if not content.startswith(b"\xff\xd8") or b"\xff\xe1" in content or b"MPF\0" in content:
        return None
    from simplejpeg import decode_jpeg_header

    try:
        height, width, colours, _ = decode_jpeg_header(content)
        if height * width > most or colours not in (("Gray",) if mode == "L" else ("YCbCr", "RGB")):
            return None
        pixels: np.ndarray = decode(content, "GRAY" if mode == "L" else "RGB", strict=True)
    except Exception:  # of whatever kind: Pillow is asked next
        return None
    return pixels[:, :, 0] if mode == "L" else pixels


def as_picture(pixels: Image.Image | np.ndarray) -> Image.Image:
    """Returns uint8 pixels [H, W] or [H, W, 3] as a picture of Pillow's; one that is such stays as it is."""
    from PIL import Image as pillow

    return pillow.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels


def brought_to(
    picture: Image.Image | np.ndarray,
    size: tuple[int, int],
    *,
    resize: Resize,
    crop_ratio: float,
    background: Colour,
    resampling: Resampling,
) -> np.ndarray:
    """Brings a picture to a size by bicubic interpolation with antialiasing (see `rolewise.data.decode_image`).

    A crop that has the size already is cut out and not resampled.

    Args:
        picture: of mode L or RGB, upright, or its pixels, uint8 [H, W] or [H, W, 3].
        size: (H, W) in pixels.
        resize: ``crop``, ``pad`` or ``squash``.
        crop_ratio: of ``crop``, the fraction of the largest crop's sides that is kept.
        background: grey level or colour around a padded picture.
        resampling: ``pillow`` or ``torch``.

    Returns:
        uint8 [H, W] or [H, W, 3].
    """
    from PIL import Image as pillow
    from PIL import ImageOps

    target, bicubic = (size[1], size[0]), pillow.Resampling.BICUBIC
    width, height = (picture.shape[1], picture.shape[0]) if isinstance(picture, np.ndarray) else picture.size
    if resize == "crop":
        box = _crop((width, height), target, crop_ratio)
        whole = _whole(box)
        at_pixels = all(float(edge).is_integer() for edge in box)
        if at_pixels and (whole[2] - whole[0], whole[3] - whole[1]) == target:
            return _cut(picture, whole)
        if resampling == "torch":
            return _resampled(_cut(picture, whole), size)
        return np.asarray(ImageOps.fit(as_picture(picture), target, bleed=(1 - crop_ratio) / 2), np.uint8)
    fitted = target
    if resize == "pad":
        scale = min(target[0] / width, target[1] / height)
        fitted = max(1, round(width * scale)), max(1, round(height * scale))
    if resampling == "torch":
        pixels = _resampled(np.asarray(picture, np.uint8), (fitted[1], fitted[0]))
    else:
        pixels = np.asarray(as_picture(picture).resize(fitted, bicubic), np.uint8)
    if fitted == target:
        return pixels
    colour = (background,) * 3 if isinstance(background, int) else background
    ground = np.array(pillow.new("RGB", target, colour).convert("L" if pixels.ndim == 2 else "RGB"))
    top, left = (target[1] - fitted[1]) // 2, (target[0] - fitted[0]) // 2
    ground[top : top + fitted[1], left : left + fitted[0]] = pixels
    return ground


def _crop(stored: tuple[int, int], target: tuple[int, int], ratio: float) -> tuple[float, float, float, float]:
    """Returns the crop in the middle, (left, top, right, bottom), as Pillow's ``ImageOps.fit`` takes it."""
    edge = (1 - ratio) / 2 * stored[0], (1 - ratio) / 2 * stored[1]
    width, height = stored[0] - 2 * edge[0], stored[1] - 2 * edge[1]
    if width / height != (wanted := target[0] / target[1]):
        width, height = (wanted * height, height) if width / height >= wanted else (width, width / wanted)
    # The middle of what the ratio left.
    left, top = edge[0] + (stored[0] - 2 * edge[0] - width) / 2, edge[1] + (stored[1] - 2 * edge[1] - height) / 2
    return left, top, left + width, top + height


def _whole(box: tuple[float, ...]) -> tuple[int, ...]:
    """Returns a crop at whole pixels, of at least one."""
    width, height = max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1]))
    left, top = int((box[0] + box[2] - width) / 2), int((box[1] + box[3] - height) / 2)
    return left, top, left + width, top + height


def _cut(picture: Image.Image | np.ndarray, box: tuple[int, ...]) -> np.ndarray:
    return np.asarray(picture, np.uint8)[box[1] : box[3], box[0] : box[2]]


def _resampled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns uint8 pixels [H, W] or [H, W, 3] at another size, by torch's own code for bytes."""
    if pixels.shape[:2] == size:
        return pixels
    import torch
    from torch.nn import functional

    flat = pixels if pixels.ndim == 3 else pixels[:, :, None]
    # A copy: Pillow's pixels are read-only. The channels stay last in memory, which torch's fastest code wants.
    image: Any = torch.from_numpy(np.array(flat)).permute(2, 0, 1)[None]
    seen = functional.interpolate(image, size, mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    return np.asarray(seen if pixels.ndim == 3 else seen[:, :, 0])
