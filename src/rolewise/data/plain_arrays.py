"""Stand-ins for what a pickled numpy array is made of: they take bytes of a few types, and no state beside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: The only types that a pickled array may have, as pickles write them. None of them holds objects or fields.
TYPES = frozenset({"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})


class Refused(Exception):
    """A pickle holds something that no plain array has."""


class PickledType:
    """Stands for ``numpy.dtype``: one of `TYPES` and a byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or code.lstrip("<>=|") not in TYPES:
            raise Refused(f"arrays of the type {str(code)[:40]!r} are not admitted; known: {', '.join(sorted(TYPES))}")
        self.code = code.lstrip("<>=|")
        self.order = code[0] if code[0] in "<>" else "="

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags[, metadata]): the plain types have
        # nothing in the middle, and flags other than 0 are those of objects and raw memory.
        if (
            not isinstance(state, tuple)
            or len(state) not in (8, 9)
            or any(state[2:5])
            or state[7] != 0
            or any(state[8:])
        ):
            raise Refused("a type with fields, a shape or flags of its own is not admitted")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise Refused("a type of an unknown byte order is not admitted")
        self.order = order if order in ("<", ">") else "="

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type that it stands for."""
        return np.dtype(self.order + self.code)


class PickledArray:
    """Stands for ``numpy.ndarray``: holds its array once its state has been checked."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("an array's state must have five parts")
        _, shape, dtype, fortran, content = state
        self.array = _array(content, dtype, shape, "F" if fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, PickledType) or not isinstance(content, (bytes, bytearray)) or order not in ("C", "F"):
        raise Refused("an array must be of bytes and a plain type")
    lengths = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(length) is int and length >= 0 for length in lengths) or len(lengths) > 8:
        raise Refused("an array's shape must be of whole numbers")
    kind = dtype.numpy
    if math.prod(lengths) * kind.itemsize != len(content):
        raise Refused(f"an array of {list(lengths)} {kind} must have other than {len(content):,} bytes")
    return np.frombuffer(content, kind).reshape(lengths, order=order)


class Reconstruct:
    """Stands for numpy's ``_reconstruct``, which makes an empty array that a state then fills."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> PickledArray:
        """Returns an array without content; no room is made for the shape."""
        if kind is not PickledArray:
            raise Refused("an array of another class is not admitted")
        return PickledArray()


class FromBuffer:
    """Stands for numpy's ``_frombuffer``, which pickles of protocol 5 use."""

    __slots__ = ()

    def __call__(self, content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> PickledArray:
        """Returns an array with its content; ``axes`` is the order in which its axes stand in memory."""
        made = PickledArray()
        if axes is None:
            made.array = _array(content, dtype, shape, order)
            return made
        stored = _array(content, dtype, shape, "C")
        if not isinstance(axes, tuple) or sorted(map(int, axes)) != list(range(stored.ndim)):
            raise Refused("an order of axes must hold each once")
        made.array = stored.transpose(tuple(map(int, axes)))
        return made


class PickledScalar:
    """Stands for numpy's ``scalar``: one number."""

    __slots__ = ()

    def __call__(self, dtype: Any, content: Any) -> Any:
        """Returns the number as Python has it."""
        return _array(content, dtype, (), "C").item()


class Encode:
    """Stands for ``codecs.encode``: bytes pickled by Python 3 under an old protocol arrive as text to be encoded.

    Args:
        most: bytes that it makes in all. One text may be named any number of times, and each makes a copy.
    """

    __slots__ = ("_left",)

    def __init__(self, most: int) -> None:
        self._left = most

    def __setstate__(self, state: Any) -> None:
        raise Refused("a state for a function is not admitted")

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        """Returns the bytes."""
        encoding = encoding.decode("latin1") if isinstance(encoding, bytes) else encoding
        if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
            raise Refused("an encoding other than latin1 is not admitted")
        self._left -= len(text)
        if self._left < 0:
            raise Refused("its text encodes to more bytes than the file has")
        return text.encode("latin1")
