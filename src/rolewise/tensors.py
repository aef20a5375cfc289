"""Files of tensors, read with errors that say what is wrong with which file."""

from __future__ import annotations

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path


def read_tensors(path: AnyPath, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: the file.
        where: what errors call it, such as ``"plan a.safetensors"``.

    Returns:
        The tensors by name, and the file's metadata.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    path = as_path(path)
    try:
        tensors = load(path.read_bytes())
        with safe_open(path, framework="pt") as file:
            return tensors, file.metadata() or {}
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}; check the path") from error
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{where} is damaged or of another kind ({error}); save it anew") from error
