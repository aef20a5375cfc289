"""One Arrow file of a packed data set: images brought to a size, encoded again, and written whole."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rolewise.data.dataset_library import dataset_library
from rolewise.data.image_decoder import FaultyImageError
from rolewise.data.pack_sources import PackItem
from rolewise.data.picture_source import PictureRules
from rolewise.errors import InputError
from rolewise.files import write_bytes

Encoding = Literal["jpeg", "png"]
#: Images of one Arrow file, and of one of its batches: an index is looked up among these.
_FILE, _BATCH = 4096, 256


@dataclass(frozen=True)
class PackSettings:
    """The way from a source's images to those that are packed.

    Args:
        size: pixels, or (height, width), that every image is brought to.
        resize: ``crop``, ``pad`` or ``squash`` (see `rolewise.data.image_decoder.decode_image`).
        encoding: ``jpeg``, or ``png``, which loses nothing.
        quality: of ``jpeg``, 1 to 100.
        grayscale: one channel instead of three.
        images_per_file: images of one Arrow file.

    Raises:
        InputError: a setting is out of range.
    """

    size: int | tuple[int, int] = 256
    resize: Literal["crop", "pad", "squash"] = "crop"
    encoding: Encoding = "jpeg"
    quality: int = 90
    grayscale: bool = False
    images_per_file: int = _FILE

    def __post_init__(self) -> None:
        sides = (self.size,) if isinstance(self.size, int) else self.size
        for name, holds, rule, value in (
            ("size", all(1 <= side <= 8192 for side in sides), "1 to 8192 pixels", self.size),
            ("resize", self.resize in ("crop", "pad", "squash"), "crop, pad or squash", self.resize),
            ("encoding", self.encoding in ("jpeg", "png"), "jpeg or png", self.encoding),
            ("quality", 1 <= self.quality <= 100, "1 to 100", self.quality),
            ("images_per_file", self.images_per_file >= 1, "at least 1", self.images_per_file),
        ):
            if not holds:
                raise InputError(f"{name} must be {rule}, got {value!r}; change it")

    @property
    def rules(self) -> PictureRules:
        """The rules by which images become pixels."""
        return PictureRules(self.size, self.grayscale, 255, self.resize, "exif", "error", 0.0, resampling="torch")


def write_packed_file(
    file: Path, items: Sequence[PackItem], classes: tuple[str, ...], settings: PackSettings, skip: bool
) -> list[tuple[str, str]]:
    """Writes one Arrow file, unless it has faulty images that are not to be skipped.

    Args:
        file: the file.
        items: its images.
        classes: K names.
        settings: size and encoding.
        skip: whether faulty images are left out.

    Returns:
        The name and the fault of each image that cannot be read.
    """
    pa: Any = importlib.import_module("pyarrow")
    rows: list[tuple[bytes, str, int]] = []
    faults: list[tuple[str, str]] = []
    decode = settings.rules.decoder()
    for item in items:
        try:
            rows.append((_encoded(item.content(), decode, settings), item.name, item.label))
        except (FaultyImageError, OSError) as error:
            faults.append((item.name, str(error).replace("the picture", item.name, 1)))
    if faults and not skip:
        return faults
    schema = pack_features(classes).arrow_schema
    written = io.BytesIO()
    with pa.ipc.new_stream(written, schema) as stream:
        for start in range(0, len(rows), _BATCH):
            contents, names, labels = zip(*rows[start : start + _BATCH], strict=True)
            images = pa.StructArray.from_arrays(
                [pa.array(contents, pa.binary()), pa.array(names, pa.string())], names=["bytes", "path"]
            )
            stream.write_batch(pa.record_batch([images, pa.array(labels, pa.int64())], schema=schema))
    write_bytes(file, written.getvalue())
    return faults


def pack_features(classes: Sequence[str]) -> Any:
    """Returns the columns of a packed data set, as the library datasets describes them.

    Args:
        classes: K names.
    """
    library = dataset_library("packing")
    return library.Features({"image": library.Image(), "label": library.ClassLabel(names=list(classes))})


def _encoded(content: bytes, decode: Callable[[Any], np.ndarray], settings: PackSettings) -> bytes:
    """Returns an image at the size, as the content of a file; one that is so already stays as it is."""
    from PIL import Image

    pixels = decode(io.BytesIO(content))
    with Image.open(io.BytesIO(content)) as stored:
        upright = stored.getexif().get(0x0112, 1) == 1
        mode = "L" if settings.grayscale else "RGB"
        if (stored.format, stored.mode, stored.size) == ("JPEG", mode, pixels.shape[:0:-1]) and upright:
            return content
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
    written = io.BytesIO()
    if settings.encoding == "png":
        image.save(written, "PNG")
    else:
        image.save(written, "JPEG", quality=settings.quality)
    return written.getvalue()
