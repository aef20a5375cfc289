"""A source of image files: how each becomes pixels, and what happens to those that cannot be read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from rolewise.data import image_decoder
from rolewise.data.data_checks import check_memory, warn
from rolewise.data.image_decoder import Colour, FaultyImageError, Orientation, Resize, decode_image, turned
from rolewise.data.image_sources import ImageData, Source, StreamedFiles
from rolewise.errors import InputError
from rolewise.words import counted

Faulty = Literal["error", "skip"]
#: Faulty files that an error or a warning lists.
_LISTED = 4
_THREADS = 2
#: Files that are handed to the threads together.
_AT_ONCE = 4096


@dataclass(frozen=True)
class PictureRules:
    """The way from image files to pixels, and what happens to files that cannot be read.

    Args:
        size: pixels, or (height, width).
        grayscale: one channel instead of three.
        background: grey level or colour below what is transparent, and around a padded picture.
        resize: the way to the size (see `rolewise.data.image_decoder.decode_image`).
        orientation: ``exif`` or ``stored``.
        faulty: ``error`` ends the reading, ``skip`` leaves the file out.
        memory_budget_mb: sets whose pixels take more are streamed from disk.
        crop_ratio: of ``crop``, the fraction of the largest crop's sides that is kept.
        resampling: ``pillow`` or ``torch``, the code that interpolates.

    Raises:
        InputError: a fraction below 1 is set beside another way to the size.
    """

    size: int | Sequence[int]
    grayscale: bool
    background: int | Sequence[int]
    resize: Resize
    orientation: Orientation
    faulty: Faulty
    memory_budget_mb: float
    crop_ratio: float = 1.0
    resampling: image_decoder.Resampling = "pillow"

    def __post_init__(self) -> None:
        if self.crop_ratio != 1 and self.resize != "crop":
            raise InputError(
                f"crop_ratio must be 1 where resize is {self.resize}, got {self.crop_ratio:g}: nothing "
                "is cropped there; set resize to crop, or leave crop_ratio out"
            )

    @property
    def channels(self) -> int:
        """C."""
        return 1 if self.grayscale else 3

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    def decoder(self, on_frames: Callable[[Path], None] | None = None) -> Callable[[Path | BinaryIO], np.ndarray]:
        """Returns the function from an image file to its pixels, uint8 [C, H, W].

        Args:
            on_frames: called with the path of a file that holds several pictures.
        """
        colour = self.background
        ground: Colour = colour if isinstance(colour, int) else (colour[0], colour[1], colour[2])
        return functools.partial(
            decode_image,
            size=self.shape,
            channels=self.channels,
            background=ground,
            resize=self.resize,
            orientation=self.orientation,
            crop_ratio=self.crop_ratio,
            resampling=self.resampling,
            on_frames=on_frames,
        )

    def streamed(
        self, paths: Sequence[Path], labels: Tensor, names: tuple[str, ...], several: list[Path], checked: bool = False
    ) -> StreamedFiles:
        """Returns files as a source that decodes them on demand.

        Args:
            paths: N files.
            labels: of a source, one for each file.
            names: of the classes, labels or numbers.
            several: filled with the files that hold more than one picture, as they are read.
            checked: whether each is known to be readable.
        """
        turns = turned if self.orientation == "exif" else None
        return StreamedFiles(
            paths,
            labels,
            names,
            self.decoder(several.append),
            self.channels,
            self.shape,
            workers=_THREADS,
            turned=turns,
            checked=checked,
            several=several,
        )


def picture_source(paths: Sequence[Path], labels: Tensor, names: tuple[str, ...], rules: PictureRules) -> Source:
    """Returns image files as a source: in memory where they fit the budget, else streamed from disk.

    Args:
        paths: N files.
        labels: of a source, one for each file.
        names: of the classes, labels or numbers.
        rules: the way to pixels.

    Raises:
        InputError: memory has no room, or files cannot be read and are not to be skipped; they are named.
    """
    several: list[Path] = []
    streamed = rules.streamed(paths, labels, names, several)
    pixels = len(paths) * rules.channels * rules.shape[0] * rules.shape[1]
    resident = pixels <= rules.memory_budget_mb * 1e6
    if resident:
        remedy = "lower data.memory_budget_mb, so that they stay on disk, or data.arguments.size"
        check_memory(pixels, f"a set of {counted(len(paths), 'image')}", remedy)
    elif rules.faulty == "error":
        return streamed
    images, faults = decode_files(streamed, keep=resident)
    if several:
        warn_of_frames(several)
    kept = torch.ones(len(paths), dtype=torch.bool)
    if faults:
        kept[torch.tensor(sorted(faults))] = False
        refuse_or_skip(faults, len(paths), rules.faulty)
        _check_classes_left(labels, kept, names, faults)
        paths, labels = [path for path, there in zip(paths, kept.tolist(), strict=True) if there], labels[kept]
        if images is not None:
            images = images[kept]
    if images is not None:
        return ImageData(images, labels, names)
    return rules.streamed(paths, labels, names, [], checked=True)


def decode_files(source: StreamedFiles, *, keep: bool) -> tuple[Tensor | None, dict[int, InputError]]:
    """Decodes every file of a source once.

    Args:
        source: the files.
        keep: whether the pixels are kept.

    Returns:
        The pixels, uint8 [N, C, H, W], or None where they are not kept; and the fault of each file that cannot be
        read, by its index. The rows of those files mean nothing.

    Raises:
        InputError: memory has no room for a file.
    """
    images = np.zeros((len(source), source.channels, *source.size), np.uint8) if keep else None
    faults: dict[int, InputError] = {}

    def read(index: int) -> None:
        try:
            pixels = source.decode(source.paths[index])
        except FaultyImageError as error:
            faults[index] = error
            return
        if images is not None:
            images[index] = pixels

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(source), _AT_ONCE):
            list(pool.map(read, range(start, min(start + _AT_ONCE, len(source)))))
    return None if images is None else torch.from_numpy(images), faults


def check_streamed(source: StreamedFiles) -> None:
    """Makes sure that every file of a streamed source can be read, before hours of training end at one that cannot.

    Raises:
        InputError: some cannot; they are named.
    """
    faults = decode_files(source, keep=False)[1]
    if source.several:
        warn_of_frames(source.several)
    if faults:
        refuse_or_skip(faults, len(source), "error")


def warn_of_frames(several: Sequence[Path]) -> None:
    """Warns once of files that hold several pictures, of which the first is read."""
    first = min(several)
    holds = "file holds" if len(several) == 1 else "files hold"
    warn(f"{len(several):,} {holds} several pictures (an animation or pages), such as {first}: the first one is read")


def refuse_or_skip(
    faults: dict[int, InputError], number: int, faulty: Faulty, way: str = "set data.arguments.faulty to skip"
) -> None:
    """Raises an error that names files which cannot be read, or warns that they are left out.

    Args:
        faults: the fault of each file, by its index; at least one.
        number: of all files.
        faulty: ``error`` or ``skip``.
        way: to skip them, for the error.

    Raises:
        InputError: the files are not to be skipped, or none of them can be read.
    """
    listed = [str(faults[index]) for index in sorted(faults)]
    if faulty == "error" and len(listed) == 1:
        raise InputError(f"{listed[0]}, or {way}")
    more = f"\n  and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
    lines = "\n  ".join(listed[:_LISTED]) + more
    if faulty == "error":
        raise InputError(
            f"{len(listed):,} of {counted(number, 'image')} cannot be read:\n  {lines}\n"
            f"remove or replace them, or {way}"
        )
    if len(listed) == number:
        raise InputError(f"none of {counted(number, 'image')} can be read:\n  {lines}\nreplace them")
    warn(f"left out: {counted(len(listed), 'image')} of {number:,} that cannot be read, such as {listed[0]}")


def _check_classes_left(labels: Tensor, kept: Tensor, names: tuple[str, ...], faults: dict[int, InputError]) -> None:
    """Refuses a class whose every image is left out."""
    if labels.ndim != 1:
        return
    gone = sorted(set(labels.tolist()) - set(labels[kept].tolist()))
    if gone:
        first = next(index for index in sorted(faults) if int(labels[index]) == gone[0])
        raise InputError(f"the class {names[gone[0]]} has no image left that can be read: {faults[first]}")
