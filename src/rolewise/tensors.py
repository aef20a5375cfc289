"""Files of tensors, read with errors that name the file and its fault; the head is checked before the rest."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path, open_regular

#: Bytes of a safetensors head, at the most: the format's own bound.
_LARGEST_HEAD = 100_000_000
#: How pickles begin, the protocol behind it; torch has written protocol 2 since its beginnings.
_PICKLE = b"\x80"


def read_tensors(path: AnyPath, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: the file.
        where: its name in errors, such as ``"plan a.safetensors"``.

    Returns:
        The tensors by name, and the file's metadata.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    path = as_path(path)
    head = read_head(path, where)
    try:
        return load(path.read_bytes()), dict(head.get("__metadata__", {}))
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}; check the path") from error
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{where} is damaged or of another kind ({error}); save it anew") from error


def shapes_in(path: Path, where: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the tensors in a safetensors file by name; the tensors themselves are not read.

    Raises:
        InputError: as `read_tensors`.
    """
    return {name: tuple(entry["shape"]) for name, entry in read_head(path, where).items() if name != "__metadata__"}


def read_head(path: Path, where: str) -> dict[str, Any]:
    """Reads the head of a safetensors file: its tensors' types, shapes and places, which must fill the file exactly.

    Args:
        path: the file.
        where: its name in errors.

    Raises:
        InputError: the file is missing, no regular file, damaged or of another kind; of a pickle, how it is converted.
    """
    with _open(path, where) as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(_LARGEST_HEAD, size - 8):
            raise InputError(f"{where} {_other_kind(path, start)}")
        content = file.read(length)
    try:
        head = json.loads(content)
        entries = [entry for name, entry in head.items() if name != "__metadata__"]
        end = max((int(entry["data_offsets"][1]) for entry in entries), default=0)
        whole = all(isinstance(side, int) and side >= 0 for entry in entries for side in entry["shape"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"{where} is damaged or of another kind (its head cannot be read); save it anew") from error
    if not whole or end != size - 8 - length:
        raise InputError(
            f"{where} is damaged: its head announces {end:,} bytes and {size - 8 - length:,} follow; save it anew"
        )
    return dict(head)


def read_head_first(path: Path, what: str) -> bytes:
    """Reads a file that torch has saved, if it begins as one: what is endless or of another kind fills no memory.

    Args:
        path: the file.
        what: the kind of file for the error.

    Raises:
        InputError: the file is missing, no regular file, or does not begin so.
    """
    with open_regular(path, what) as file:
        if file.read(4) != b"PK\x03\x04":
            raise InputError(f"{what} {path} is damaged or of another kind: it does not begin as a file of torch.save")
        file.seek(0)
        return file.read()


def _open(path: Path, where: str) -> Any:
    try:
        return open_regular(path, where)
    except InputError as error:
        # Where the name is said already, it is not said again.
        raise InputError(str(error).replace(f"{where} {path}", where)) from error


def _other_kind(path: Path, start: bytes) -> str:
    """Returns the kind of a file that is no safetensors, and the remedy."""
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                names = {name.partition("/")[2] for name in archive.namelist()}
        except (OSError, zipfile.BadZipFile):
            names = set()
        if "constants.pkl" in names:
            return _remedy(path, "a TorchScript program", f'torch.jit.load("{path}", map_location="cpu").state_dict()')
        if "data.pkl" in names:
            return _remedy(path, "a PyTorch pickle (torch.save)", _LOAD.format(path))
    elif start[:1] == _PICKLE and path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl"):
        return _remedy(path, "a PyTorch pickle (torch.save)", _LOAD.format(path))
    if path.suffix in (".pt", ".pth", ".ckpt"):
        return "is damaged, or neither safetensors nor a PyTorch pickle; save it anew"
    return "is damaged or of another kind (it has no head of safetensors); save it anew"


_LOAD = 'torch.load("{}", map_location="cpu", weights_only=True)'


def _remedy(path: Path, kind: str, load_it: str) -> str:
    target = path.with_suffix(".safetensors").name
    return (
        f"is {kind}; weights are taken from safetensors, which hold no code. Convert it:\n"
        "  import torch; from safetensors.torch import save_file\n"
        f"  state = {load_it}\n"
        '  state = state.get("state_dict", state.get("model", state))  # where a checkpoint holds more than weights\n'
        f'  save_file({{name.removeprefix("module."): t.clone() for name, t in state.items()}}, "{target}")'
    )
