"""Fingerprints of data, by which a run recognises the images and labels that it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from rolewise.data.held_images import decoded_pieces
from rolewise.data.image_sources import ImageData, Source, StreamedArray, StreamedFiles
from rolewise.data.packed_images import PackedImages
from rolewise.data.picture_source import check_streamed
from rolewise.data.text_source import TextData
from rolewise.files import sha256

#: Images that are read at once.
_BATCH = 1024


def fingerprint(source: Source, known: Mapping[str, str] | None = None, *, by_pixels: bool = False) -> dict[str, str]:
    """Returns SHA-256 digests of a source's content: its ``pixels``, and its ``labels`` with the names of the classes.

    A source of texts has ``tokens`` in place of pixels, of both roles' tokenizers.

    Images in memory or in an array are read a batch at a time; of image files the bytes on disk count, and whether
    EXIF turns their pixels; of packed images the bytes of each. Files that are read for it are decoded once, so that a
    damaged one shows here.

    Args:
        source: the images.
        known: digests of pixels by the state of their files (see `files_state`): files that have stayed as they are, by
            size and time of change, are not read again.
        by_pixels: whether image files have the digest of their pixels, as images in memory have, instead of their
            bytes'; ``known`` is left out then.

    Raises:
        InputError: image files cannot be read; they are named.
    """
    labels = hashlib.sha256(repr(tuple(source.classes)).encode())
    numbers = source.labels.detach().cpu()
    numbers = numbers.to(torch.float64 if numbers.is_floating_point() else torch.int64)
    labels.update(numbers.contiguous().numpy().tobytes())
    if isinstance(source, TextData):
        return {"tokens": source.digest(), "labels": labels.hexdigest()}
    state = files_state(source) if known and not by_pixels else None
    pixels = known.get(state) if known and state is not None else None
    if by_pixels and isinstance(source, StreamedFiles):
        pixels = _decoded_pixels(source)
    elif isinstance(source, PackedImages) and not by_pixels and pixels is None:
        pixels = hashlib.sha256(_head(source) + source.digest().encode()).hexdigest()
    return {"pixels": pixels or _pixels(source), "labels": labels.hexdigest()}


def files_state(source: Source) -> str | None:
    """Returns a digest of the paths, sizes and times of change of the files that a source streams; None in memory."""
    if isinstance(source, StreamedFiles):
        paths = list(source.paths)
    elif isinstance(source, (StreamedArray, PackedImages)):
        paths = source.files
    else:
        return None
    state = hashlib.sha256(_head(source))
    for path in paths:
        found = path.stat()
        state.update(f"{path.resolve()} {found.st_size} {found.st_mtime_ns}\n".encode())
    return state.hexdigest() if paths else None


def _decoded_pixels(source: StreamedFiles) -> str:
    pixels = hashlib.sha256(_head(source))
    for images in decoded_pieces(source):
        pixels.update(images.contiguous().numpy().data)
    return pixels.hexdigest()


def _head(source: Source) -> bytes:
    return f"{len(source)} {source.channels} {source.size}".encode()


def _pixels(source: Source) -> str:
    pixels = hashlib.sha256(_head(source))
    if isinstance(source, StreamedFiles):
        # The one pass over all files that every run makes before it trains: what cannot be read is found in it.
        if not source.checked:
            check_streamed(source)
        for path in source.paths:
            pixels.update(bytes.fromhex(sha256(path, "image")))
            if source.turned is not None and source.turned(path):
                pixels.update(b"turned")
    else:
        for part in torch.split(torch.arange(len(source)), _BATCH):
            batch = source.images[part[0] : part[-1] + 1] if isinstance(source, ImageData) else source.batch(part)
            pixels.update(batch.detach().cpu().contiguous().numpy().data)
    return pixels.hexdigest()
