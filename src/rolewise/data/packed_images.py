"""A source of encoded images in Arrow files on disk, read by index through a memory map and decoded on demand."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolewise.data.decoding_processes import decode_each, default_decoders, shared_pool
from rolewise.data.image_decoder import FaultyImageError
from rolewise.data.image_sources import ImageData
from rolewise.data.targets import check_targets
from rolewise.errors import InputError
from rolewise.words import counted

#: Rows that are read at once for a digest.
_AT_ONCE = 1024
#: Threads that decode where no processes do.
_THREADS = 2


@dataclass(frozen=True)
class PackedRows:
    """Rows of a data set of the library datasets, whose images stay as they are stored.

    It can be pickled: another process opens the same files.

    Args:
        dataset: with an undecoded column of images, each ``{"bytes", "path"}``.
        column: the name of that column.
        title: the name of the data set, for faults.
        decode: from an open file to pixels, uint8 [C, H, W].
    """

    dataset: Any
    column: str
    title: str
    decode: Callable[[Any], np.ndarray]

    def contents(self, indices: Sequence[int]) -> tuple[list[bytes], list[str]]:
        """Returns the content of each image's file, and its place.

        Args:
            indices: of the rows.

        Raises:
            InputError: a row has no image, or the file that it names is gone.
        """
        column = self.dataset[list(indices)].column(self.column)
        contents, names = [], []
        for index, cell in zip(indices, column.to_pylist(), strict=True):
            path = None if cell is None else cell["path"]
            name = f"{self.title}, row {index}" + (f" ({path})" if path else "")
            content = None if cell is None else cell["bytes"]
            if content is None and path:
                try:
                    content = Path(path).read_bytes()
                except OSError as error:
                    raise InputError(f"{name}: its file cannot be read ({error.strerror}); pack it anew") from error
            if content is None:
                raise InputError(f"{name} has no image; remove the row")
            contents.append(content)
            names.append(name)
        return contents, names

    def __call__(self, indices: Sequence[int], images: np.ndarray) -> dict[int, str]:
        """Decodes rows (see `rolewise.data.decoding_processes.DecodeRows`)."""
        contents, names = self.contents(indices)
        return decode_each(contents, names, images, lambda content: self.decode(io.BytesIO(content)))


class PackedImages:
    """Images of a packed data set (see `rolewise.data.Source`), which are decoded when they are read.

    Nothing is kept from one batch to the next: a batch depends on its indices alone.

    Args:
        rows: the images.
        labels: int64 [N].
        classes: K names.
        channels: C.
        size: (H, W).
        files: the Arrow files.
        digest: of the rows, as `digest_of_rows` computes it, where the data set's author wrote it down; None otherwise.
        validating: the rows that the set itself sets aside for validation; None for none.
    """

    def __init__(
        self,
        rows: PackedRows,
        labels: Tensor,
        classes: tuple[str, ...],
        channels: int,
        size: tuple[int, int],
        *,
        files: Sequence[Path] = (),
        digest: str | None = None,
        validating: Tensor | None = None,
    ) -> None:
        check_targets(labels, len(rows.dataset), len(classes))
        self.rows, self.labels, self.classes, self.channels, self.size = rows, labels, classes, channels, size
        self.files, self.recorded, self.validating = list(files), digest, validating
        #: Processes that decode; 0 for threads of this process, None for `default_decoders`.
        self.decoders: int | None = None
        self._pickled = pickle.dumps(rows)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Tensor:
        """Returns uint8 images [B, C, H, W].

        Raises:
            FaultyImageError: an image cannot be read; its row is named.
        """
        images, faults = self.decoded(indices)
        if faults:
            raise FaultyImageError(faults[min(faults)])
        return images

    def decoded(self, indices: Tensor, decoders: int | None = None) -> tuple[Tensor, dict[int, str]]:
        """Returns uint8 images [B, C, H, W], and the fault of each that cannot be read, by its place in the batch.

        Args:
            indices: int64 [B].
            decoders: as the attribute, for this batch; None for the attribute.
        """
        chosen, shape = indices.tolist(), (self.channels, *self.size)
        decoders = self.decoders if decoders is None else decoders
        count = default_decoders() if decoders is None else decoders
        if count:
            images, faults = shared_pool(count).decode(self._pickled, chosen, shape)
            return torch.from_numpy(images), faults
        images = np.empty((len(chosen), *shape), np.uint8)
        step = max(1, -(-len(chosen) // _THREADS))
        starts = range(0, len(chosen), step)
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = pool.map(lambda at: self.rows(chosen[at : at + step], images[at : at + step]), starts)
            faults = {
                at + place: fault for at, part in zip(starts, parts, strict=True) for place, fault in part.items()
            }
        return torch.from_numpy(images), faults

    def in_memory(self, indices: Tensor) -> ImageData:
        """Returns some of the images as a source in memory, decoded by threads.

        Args:
            indices: int64 [N], ascending.

        Raises:
            InputError: some cannot be read; they are named.
        """
        images = torch.empty((len(indices), self.channels, *self.size), dtype=torch.uint8)
        faults: dict[int, str] = {}
        for part in _parts(len(indices)):
            seen, found = self.decoded(indices[part], decoders=0)
            images[part[0] : part[-1] + 1] = seen
            faults |= {part[0] + place: fault for place, fault in found.items()}
        _refuse(faults, len(indices))
        own = None
        if self.validating is not None and len(indices) == len(self):
            own = self.validating
        return ImageData(images, self.labels[indices], self.classes, own)

    def digest(self) -> str:
        """Returns the digest of the rows, read whole; rows whose author wrote none down are decoded too.

        Raises:
            InputError: the rows are not those that were packed, or some cannot be read; they are named.
        """
        found = digest_of_rows(self.rows, self.labels)
        if self.recorded is None:
            check_readable(self)
        elif found != self.recorded:
            raise InputError(
                f"{self.rows.title} must have the digest that was written when it was packed, {self.recorded[:12]}, "
                f"got {found[:12]}: its files were damaged or changed; pack it anew"
            )
        return found


def digest_of_rows(rows: PackedRows, labels: Tensor) -> str:
    """Returns the SHA-256 of labels, and of all images' files in the order of the rows: not of how they are stored.

    Args:
        rows: the images.
        labels: int64 [N].
    """
    whole = hashlib.sha256(labels.contiguous().numpy().tobytes())
    for part in _parts(len(rows.dataset)):
        for content in rows.contents(part)[0]:
            whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


def check_readable(source: PackedImages) -> None:
    """Decodes every image once, before hours of training end at one that cannot be decoded.

    Raises:
        InputError: some cannot; they are named.
    """
    faults: dict[int, str] = {}
    for part in _parts(len(source)):
        faults |= {part[0] + place: fault for place, fault in source.decoded(torch.tensor(part))[1].items()}
    _refuse(faults, len(source))


def _refuse(faults: Mapping[int, str], number: int) -> None:
    if faults:
        listed = [faults[place] for place in sorted(faults)]
        lines = "\n  ".join(listed[:4]) + (f"\n  and {len(listed) - 4:,} more" if len(listed) > 4 else "")
        raise InputError(f"{len(listed):,} of {counted(number, 'image')} cannot be read:\n  {lines}")


def _parts(rows: int) -> Iterator[list[int]]:
    for start in range(0, rows, _AT_ONCE):
        yield list(range(start, min(rows, start + _AT_ONCE)))
