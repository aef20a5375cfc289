"""An unpickler that admits numpy arrays and plain containers and nothing else."""

from __future__ import annotations

import importlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from rolewise.errors import InputError

#: What a pickled numpy array is made of, under the names of numpy 1 and 2.
_MULTIARRAY: Any = importlib.import_module(
    "numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray"
)
_ADMITTED: dict[tuple[str, str], Any] = {
    (module, name): getattr(_MULTIARRAY, name)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("_reconstruct", "scalar")
} | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}


def _encode(text: str, encoding: str = "latin1") -> bytes:
    # Bytes pickled by Python 3 under an old protocol arrive as text to be encoded.
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not admitted")
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted; only arrays and plain containers are")


def load_plain(path: Path) -> Any:
    """Reads a pickle of arrays and plain containers; nothing in it is executed.

    Raises:
        InputError: the file is missing or damaged, or holds anything else.
    """
    try:
        return _Plain(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    except Exception as error:
        # A damaged pickle fails in whatever way the bytes happen to lead to.
        raise InputError(f"{path} is damaged or holds more than arrays ({type(error).__name__}: {error})") from error
