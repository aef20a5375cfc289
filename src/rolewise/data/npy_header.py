"""The heads of .npy arrays: type and shape, read before the body."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np


@dataclass(frozen=True)
class NpyHeader:
    """The type and shape of an array in a file.

    Args:
        dtype: its type.
        shape: its shape.
        start: bytes ahead of its content.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        """The size of its content in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(stream: IO[bytes]) -> NpyHeader:
    """Reads the head of an array in the .npy format.

    Args:
        stream: at the array's first byte; afterwards at its content.

    Raises:
        ValueError: it is none.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return NpyHeader(dtype, shape, stream.tell())
