"""Pictures on a page: rows of small images, each row one compressed strip that the page enlarges without blur."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

#: Pixels that a picture has at most on its longer side: more is not seen at the size of a page's row.
LARGEST = 96
_PARTS = {"0": "beginning", "0.5": "middle", "1": "end"}


@dataclass(frozen=True)
class Strip:
    """A row of images.

    Args:
        name: the text beside it.
        address: a data address of the images beside one another.
        count: the number of images.
        width: of one image, in its own pixels.
        height: of one image, in its own pixels.
        whole: width of the row.
    """

    name: str
    address: str
    count: int
    width: int
    height: int
    whole: int


def strip(name: str, images: np.ndarray) -> Strip:
    """Returns images as one row.

    Args:
        name: the text beside it.
        images: uint8 [n, C, H, W], C 1 or 3, n at least 1.
    """
    small = [_coloured(_small(image)) for image in images]
    height, width = small[0].shape[:2]
    # Nothing between two images, so that each is seen as one on any background.
    gap = np.zeros((height, round(width / 12) if len(small) > 1 else 0, 4), np.uint8)
    joined = np.concatenate([part for image in small for part in (image, gap)][: 2 * len(small) - 1], axis=1)
    made = Image.fromarray(joined)
    buffer = io.BytesIO()
    # Few pixels are kept as they are; photographs are not, whose loss nobody sees at this size.
    few = max(images.shape[2:]) <= LARGEST // 2
    made.save(buffer, "WEBP", **({"lossless": True, "method": 6} if few else {"quality": 82}))
    address = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Strip(name, address, len(images), width, height, joined.shape[1])


def _coloured(pixels: np.ndarray) -> np.ndarray:
    """Returns an image [H, W] or [H, W, 3] as [H, W, 4], opaque."""
    three = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.concatenate([three, np.full((*three.shape[:2], 1), 255, np.uint8)], axis=2)


def _small(image: np.ndarray) -> np.ndarray:
    """Returns an image as [H, W] or [H, W, 3], at most `LARGEST` on a side."""
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    pixels = pixels[..., 0] if pixels.shape[2] != 3 else pixels
    height, width = pixels.shape[:2]
    if max(height, width) <= LARGEST:
        return pixels
    scale = LARGEST / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def views(previews: Mapping[str, np.ndarray], role: str) -> Sequence[Strip]:
    """Returns images clean, and as a role sees them at the beginning, the middle and the end of training.

    Args:
        previews: arrays of ``previews.npz``.
        role: a role that has a schedule of its own.
    """
    return [strip(name, images) for name, images in _moments(previews, role).items()]


def seen_texts(previews: Mapping[str, np.ndarray], role: str) -> list[list[tuple[str, str]]]:
    """Returns for each text a list of moments and of the tokens that a role sees then.

    Args:
        previews: arrays of ``previews.npz``, of texts.
        role: a role that has a schedule of its own.
    """
    moments = _moments(previews, role)
    return [[(name, str(texts[at])) for name, texts in moments.items()] for at in range(len(moments["clean"]))]


def _moments(previews: Mapping[str, np.ndarray], role: str) -> dict[str, np.ndarray]:
    parts = {name: previews[f"{role}/{part}"] for part, name in _PARTS.items() if f"{role}/{part}" in previews}
    return {"clean": previews["clean"], **parts}
