"""An unpickler that admits numpy arrays and plain containers and nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from rolewise.data.data_checks import check_kind, check_memory
from rolewise.data.plain_arrays import Encode, FromBuffer, PickledArray, PickledScalar, PickledType, Reconstruct
from rolewise.errors import InputError

#: What stands for what a pickled numpy array is made of, under the names of numpy 1 and 2.
_ADMITTED: dict[tuple[str, str], Any] = {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", Reconstruct()),
        ("multiarray", "scalar", PickledScalar()),
        ("numeric", "_frombuffer", FromBuffer()),
    )
} | {("numpy", "ndarray"): PickledArray, ("numpy", "dtype"): PickledType}

#: What plain containers and arrays are written with; no classes of one's own, extensions or outside references.
_NAMES = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT "
    "BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 LIST DICT "
    "APPEND APPENDS SETITEM SETITEMS GLOBAL STACK_GLOBAL REDUCE BUILD PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET "
    "LONG_BINGET"
)
_OPCODES = frozenset(_NAMES.split())
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


class _Plain(pickle.Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._admitted = {**_ADMITTED, ("_codecs", "encode"): Encode(len(content))}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._admitted:
            return self._admitted[module, name]
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted; only arrays and plain containers are")


def load_plain(path: Path) -> Any:
    """Reads a pickle of arrays and plain containers; nothing in it is executed, and no numpy object takes its state.

    Args:
        path: the file.

    Returns:
        Its content. Arrays are found at the top and as values of a dictionary at the top; they are read-only.

    Raises:
        InputError: the file is missing or damaged, or holds anything else.
    """
    check_kind(path, "a file")
    try:
        check_memory(3 * path.stat().st_size, str(path), "use a machine with more memory")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    try:
        _check_opcodes(content)
        found = _Plain(content).load()
    except Exception as error:
        # A damaged pickle fails in whatever way the bytes happen to lead to.
        raise InputError(f"{path} is damaged or holds more than arrays ({type(error).__name__}: {error})") from error
    return {key: _array(value) for key, value in found.items()} if isinstance(found, dict) else _array(found)


def _check_opcodes(content: bytes) -> None:
    """Refuses opcodes that no plain content needs, and places in the memo for which room would be made in advance."""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"{opcode.name} is not admitted; only arrays and plain containers are")
        if opcode.name in _PUTS and (not isinstance(argument, int) or argument > number):
            raise pickle.UnpicklingError(f"a memo of {argument} places after {number} steps is not admitted")


def _array(value: Any) -> Any:
    return value.array if isinstance(value, PickledArray) else value
