"""Facts of image files as they are: size, mode, format, orientation, and the fault of those that cannot be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from rolewise.data.image_sources import Source, StreamedFiles
from rolewise.data.packed_images import PackedImages
from rolewise.data.text_source import TextData
from rolewise.errors import InputError

_AT_ONCE, _THREADS = 1024, 2


@dataclass(frozen=True)
class PictureFacts:
    """The facts of one image of a source.

    Args:
        name: its path, or its place in an array.
        digest: of its pixels as networks get them; None where it cannot be read.
        fault: the reason why it cannot be read; None where it can.
        size: (height, width) of the file's pixels; None for an image of an array, or one that is not known.
        mode: Pillow's name of its kind of pixels; None likewise.
        format: Pillow's name of its format; None likewise.
        turned: whether its EXIF entry turns it.
    """

    name: str
    digest: bytes | None = None
    fault: str | None = None
    size: tuple[int, int] | None = None
    mode: str | None = None
    format: str | None = None
    turned: bool = False


def picture_facts(source: Source, title: str, root: Path) -> list[PictureFacts]:
    """Reads every image of a source once, and returns its facts; a file that cannot be read ends nothing.

    Of a text only its place and the digest of its tokens are known.

    Args:
        source: the images, or texts.
        title: name of the images of an array, such as ``images``.
        root: the folder that files are named below.
    """
    if isinstance(source, StreamedFiles):
        return list(_facts_of_files(source, root))
    if isinstance(source, TextData):
        marks = source.marks(torch.arange(len(source)))
        return [PictureFacts(f"{title}[{at}]", mark) for at, mark in enumerate(marks)]
    if isinstance(source, PackedImages):
        return list(_facts_of_rows(source))
    facts: list[PictureFacts] = []
    for part in torch.split(torch.arange(len(source)), _AT_ONCE):
        images = source.batch(part).cpu().contiguous().numpy()
        facts += [PictureFacts(f"{title}[{len(facts) + at}]", _digest(one)) for at, one in enumerate(images)]
    return facts


def _facts_of_files(source: StreamedFiles, root: Path) -> Iterator[PictureFacts]:
    def look(path: Path) -> PictureFacts:
        size, mode, form, turn = None, None, None, False
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        with suppress(Exception):
            size, mode, form = _head(path)
            turn = source.turned is not None and source.turned(path)
        try:
            return PictureFacts(name, _digest(source.decode(path)), None, size, mode, form, turn)
        except InputError as error:
            return PictureFacts(name, None, str(error).removeprefix(f"{path} "), size, mode, form, turn)

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(source), _AT_ONCE):
            yield from pool.map(look, source.paths[start : start + _AT_ONCE])


def _facts_of_rows(source: PackedImages) -> Iterator[PictureFacts]:
    for part in torch.split(torch.arange(len(source)), _AT_ONCE):
        images, faults = source.decoded(part)
        for at, (row, image) in enumerate(zip(part.tolist(), images.numpy(), strict=True)):
            name = f"{source.rows.title}, row {row}"
            fault = faults[at].removeprefix(name).strip() if at in faults else None
            yield PictureFacts(name, None if fault else _digest(image), fault)


def _head(path: Path) -> tuple[tuple[int, int], str, str | None]:
    from PIL import Image

    with Image.open(path) as image:
        return (image.height, image.width), image.mode, image.format


def _digest(pixels: object) -> bytes:
    return hashlib.blake2b(memoryview(pixels).cast("B"), digest_size=16).digest()  # type: ignore[arg-type]


def same_pixels(first: Sequence[PictureFacts], second: Sequence[PictureFacts] | None = None) -> list[list[str]]:
    """Returns groups of images with the same pixels, by their names.

    Args:
        first: images.
        second: other images, where a group must have some of both; None for groups among the first.
    """
    groups: dict[bytes, list[str]] = {}
    for one in first:
        if one.digest is not None:
            groups.setdefault(one.digest, []).append(one.name)
    if second is None:
        return [names for names in groups.values() if len(names) > 1]
    across: dict[bytes, list[str]] = {}
    for one in second:
        if one.digest in groups:
            across.setdefault(one.digest, list(groups[one.digest])).append(one.name)
    return list(across.values())
