"""Sources of images: resident on a device, or streamed from disk; both give uint8 batches by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rolewise.data.box_targets import check_within
from rolewise.data.targets import check_targets, kind_of_targets
from rolewise.errors import InputError


@runtime_checkable
class Source(Protocol):
    """A source of images that are read by index."""

    @property
    def labels(self) -> Tensor:
        """Targets: int64 [N] in [0, K), uint8 [N, K] of 0 and 1, float32 [N, K], masks uint8 [N, H, W], or boxes.

        Tags are int16 [N, T]. See `rolewise.data.targets`.
        """
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """K names: of classes, labels or numbers."""
        ...

    @property
    def channels(self) -> int:
        """C."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Any:
        """Returns uint8 images [B, C, H, W] of int64 indices [B]; a source of texts returns a mapping of tensors."""
        ...


@dataclass(frozen=True)
class ImageData:
    """Images that fit into memory.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3.
        labels: int64 [N] in [0, K); several of each image, uint8 [N, K] of 0 and 1, or float32 [N, K]; masks of the
            images' size, uint8 [N, H, W]; or packed boxes, float32 [N, M, 6] (see `rolewise.data.packed_boxes`).
        classes: K names: of classes, labels or numbers.
        validating: int64, the images that the set itself sets aside for validation, ascending; None where it sets none
            aside, and validation images are drawn.

    Raises:
        InputError: a shape or a type is wrong, or a label is out of range.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    validating: Tensor | None = None

    def __post_init__(self) -> None:
        shape = list(self.images.shape)
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] not in (1, 3):
            raise InputError(f"images must be uint8 [N, C, H, W] with C 1 or 3, got {self.images.dtype} {shape}")
        if 0 in shape:
            raise InputError(f"images must not be empty, got {shape}")
        check_targets(self.labels, len(self.images), len(self.classes))
        kind = kind_of_targets(self.labels)
        if kind == "boxes":
            check_within(self.labels, self.size)
        if kind == "masks" and self.labels.shape[1:] != self.images.shape[2:]:
            raise InputError(
                f"masks must be of their images' size, {shape[2:]}, got {list(self.labels.shape[1:])}; resize them by "
                "the nearest pixel"
            )

    @property
    def channels(self) -> int:
        """C."""
        return self.images.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.images.shape[2], self.images.shape[3]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Tensor:
        """Returns uint8 images [B, C, H, W]."""
        return self.images[indices.to(self.images.device)]

    def to(self, device: torch.device | str) -> ImageData:
        """Returns the same data with the images on a device."""
        return ImageData(self.images.to(device), self.labels, self.classes)


class StreamedFiles:
    """Image files that are decoded on demand, by a few threads (decoding releases Python's lock).

    Args:
        paths: N files.
        labels: as of `ImageData`.
        classes: K names.
        decode: reads one file as uint8 [C, H, W].
        channels: C.
        size: (H, W).
        workers: threads.
        turned: returns whether a file's pixels are turned as its EXIF entry orients them; None where none are.
        checked: whether each file is known to be readable.
        several: filled by ``decode`` with the files that hold several pictures.
    """

    #: The images that the set itself sets aside for validation (see `ImageData`).
    validating: Tensor | None = None

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Tensor,
        classes: tuple[str, ...],
        decode: Callable[[Path], np.ndarray],
        channels: int,
        size: tuple[int, int],
        workers: int = 2,
        *,
        turned: Callable[[Path], bool] | None = None,
        checked: bool = False,
        several: Sequence[Path] = (),
    ) -> None:
        check_targets(labels, len(paths), len(classes))
        self.paths, self.labels, self.classes = list(paths), labels, classes
        self.channels, self.size = channels, size
        self.decode, self.turned, self.checked, self.several = decode, turned, checked, several
        self._pool = ThreadPoolExecutor(workers)

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, indices: Tensor) -> Tensor:
        """Returns uint8 images [B, C, H, W]."""
        chosen = [self.paths[index] for index in indices.tolist()]
        images = np.empty((len(chosen), self.channels, *self.size), np.uint8)
        for at, image in enumerate(self._pool.map(self.decode, chosen)):
            images[at] = image
        return torch.from_numpy(images)


class StreamedArray:
    """An array on disk that is read through a memory map, a batch at a time.

    Args:
        array: uint8 [N, C, H, W], memory-mapped.
        labels: as of `ImageData`.
        classes: K names.
    """

    def __init__(self, array: np.ndarray, labels: Tensor, classes: tuple[str, ...]) -> None:
        check_targets(labels, len(array), len(classes))
        self._array = array
        name = getattr(array, "filename", None)
        #: What it is read from, where that is a file.
        self.files = [Path(name)] if name is not None else []
        self.labels, self.classes = labels, classes

    @property
    def channels(self) -> int:
        """C."""
        return int(self._array.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self._array.shape[2]), int(self._array.shape[3])

    def __len__(self) -> int:
        return len(self._array)

    def batch(self, indices: Tensor) -> Tensor:
        """Returns uint8 images [B, C, H, W]."""
        # In ascending order the disk is read forwards; the order that was asked for is put back afterwards.
        order = torch.argsort(indices)
        rows = torch.from_numpy(np.ascontiguousarray(self._array[indices[order].numpy()]))
        result = torch.empty_like(rows)
        result[order] = rows
        return result
