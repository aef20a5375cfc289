"""Chosen images of a set that is on disk, read into memory where the whole set could be held."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rolewise.data.data_checks import check_memory
from rolewise.data.image_sources import ImageData, Source, StreamedArray, StreamedFiles
from rolewise.data.packed_images import PackedImages
from rolewise.data.picture_source import decode_files, refuse_or_skip, warn_of_frames
from rolewise.errors import InputError
from rolewise.words import counted

#: Files that are decoded together.
_AT_ONCE = 1024
#: Below the pixels of any set: what can stay on disk does, until it is known which images are used.
NOTHING_MB = 1e-9


def would_fit(source: Source, budget_mb: float) -> bool:
    """Returns whether all pixels of a source take no more than so many megabytes."""
    return len(source) * source.channels * source.size[0] * source.size[1] <= budget_mb * 1e6


def held_images(source: Source, indices: Tensor, budget_mb: float | None) -> tuple[Source, Tensor]:
    """Returns some images of a source as a source in memory, and their indices there.

    A source that is in memory already, or whose pixels exceed the budget, is returned as it is.

    Args:
        source: the images.
        indices: int64 [N], which of them are used, ascending.
        budget_mb: the size of the whole set's pixels up to which images are held; None for nothing.

    Raises:
        InputError: memory has no room, or some of the files cannot be read; they are named.
    """
    streams = isinstance(source, (StreamedFiles, StreamedArray, PackedImages))
    if not streams or budget_mb is None or not would_fit(source, budget_mb):
        return source, indices
    pixels = len(indices) * source.channels * source.size[0] * source.size[1]
    check_memory(pixels, f"a set of {counted(len(indices), 'image')}", "lower data.limit or data.arguments.size")
    if isinstance(source, PackedImages):
        return source.in_memory(indices), torch.arange(len(indices))
    if isinstance(source, StreamedFiles):
        chosen = _some_files(source, indices)
        images, faults = decode_files(chosen, keep=True)
        if faults:
            refuse_or_skip(faults, len(chosen), "error")
        assert images is not None
    else:
        images = source.batch(indices)
    return ImageData(images, source.labels[indices], source.classes), torch.arange(len(indices))


def decoded_pieces(source: StreamedFiles) -> Iterator[Tensor]:
    """Yields all images of a source, uint8 [n, C, H, W], a piece at a time.

    Raises:
        InputError: some files cannot be read; all of them are named once every file was tried.
    """
    found: dict[int, InputError] = {}
    for part in torch.split(torch.arange(len(source)), _AT_ONCE):
        images, faults = decode_files(_some_files(source, part), keep=True)
        found |= {int(part[0]) + at: fault for at, fault in faults.items()}
        assert images is not None
        yield images
    if source.several:
        warn_of_frames(sorted(set(source.several)))
    if found:
        refuse_or_skip(found, len(source), "error")


def _some_files(source: StreamedFiles, indices: Tensor) -> StreamedFiles:
    paths = [source.paths[index] for index in indices.tolist()]
    return StreamedFiles(paths, source.labels[indices], source.classes, source.decode, source.channels, source.size)
