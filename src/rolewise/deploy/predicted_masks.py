"""Predicted masks as PNG files: in the size of the picture, a number for each class, with colours to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from rolewise.data.label_decoder import stored_size
from rolewise.data.picture_source import PictureRules
from rolewise.errors import InputError
from rolewise.files import write_bytes

#: The number of pixels that the network has not seen, since its pictures are cut at their edges.
UNSEEN = 255


def mask_paths(folder: Path, pictures: Sequence[Path], what: str = "masks") -> list[Path]:
    """Returns the files of masks: the pictures' names with the ending ``.png``, in one folder.

    Args:
        folder: for the masks.
        pictures: the pictures.
        what: the content of the files, for errors.

    Raises:
        InputError: two pictures have one name, or a mask would be written over a picture.
    """
    found: dict[Path, Path] = {}
    for picture in pictures:
        path = folder / f"{picture.stem}.png"
        if path in found:
            raise InputError(
                f"pictures must have different names where {what} are written, got {found[path]} and {picture}; "
                "predict for one folder at a time"
            )
        if path.exists() and path.resolve() == picture.resolve():
            raise InputError(f"{what} must not be written over the pictures, got the folder {folder}; name another one")
        found[path] = picture
    return list(found)


def write_mask(path: Path, mask: Tensor, picture: Path, rules: PictureRules) -> None:
    """Writes a mask as a palette PNG in the size of its picture: class numbers, and `UNSEEN` where nothing was seen.

    Args:
        path: the file.
        mask: uint8 [H, W] of the network's input.
        picture: the picture file.
        rules: the way from the picture to the network's input.
    """
    width, height = stored_size(picture, rules.orientation)
    image = Image.fromarray(mask_on_picture(mask.numpy(), (height, width), rules))
    image.putpalette(_colours())
    content = io.BytesIO()
    image.save(content, "PNG")
    write_bytes(path, content.getvalue())


def mask_on_picture(mask: np.ndarray, size: tuple[int, int], rules: PictureRules) -> np.ndarray:
    """Returns a mask laid back onto the picture that its network's input was made from, by the nearest pixel.

    Args:
        mask: uint8 [H, W] of the network's input.
        size: (height, width) of the picture as it is seen.
        rules: the way from the picture to that input.

    Returns:
        uint8 of the picture's size; `UNSEEN` where the input was cut.
    """
    (height, width), (rows, columns) = size, mask.shape
    whole = Image.fromarray(mask)
    if rules.resize == "squash":
        return np.asarray(whole.resize((width, height), Image.Resampling.NEAREST))
    if rules.resize == "pad":
        scale = min(columns / width, rows / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (columns - inner[0]) // 2, (rows - inner[1]) // 2
        part = whole.crop((left, top, left + inner[0], top + inner[1]))
        return np.asarray(part.resize((width, height), Image.Resampling.NEAREST))
    # What covers the input: the largest part of its shape, from the middle.
    scale = min(width / columns, height / rows)
    seen = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (width - seen[0]) // 2, (height - seen[1]) // 2
    result = np.full((height, width), UNSEEN, np.uint8)
    result[top : top + seen[1], left : left + seen[0]] = np.asarray(whole.resize(seen, Image.Resampling.NEAREST))
    return result


def _colours() -> list[int]:
    """Returns red, green and blue of 256 classes that differ: the bits of a number, spread over the colours."""
    table = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            table[:, channel] |= ((np.arange(256) >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    table[UNSEEN] = 224
    return [int(level) for level in table.flatten()]
