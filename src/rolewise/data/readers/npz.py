"""One .npz file with images and labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from rolewise.data.arguments import CLASSES, TARGETS, TEXT, Rule
from rolewise.data.arrays import NAMES, check_names, from_arrays, image_problem
from rolewise.data.data_checks import MOST_EXPANSION, check_memory
from rolewise.data.download import find
from rolewise.data.image_sources import Source
from rolewise.data.npy_header import NpyHeader, read_npy_header
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import TargetKind, target_problem
from rolewise.errors import InputError, near


def _renames(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key in NAMES and isinstance(name, str) and name for key, name in value.items()
    )


_RENAMES = Rule(f"a mapping of {', '.join(NAMES)} to the names in the file", _renames)


@READERS.add("npz")
def npz(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    file: Annotated[str, TEXT] = "data.npz",
    names: Annotated[dict[str, str], _RENAMES] = {},  # noqa: B006 (never changed)
    classes: Annotated[list[str] | None, CLASSES] = None,
    targets: Annotated[TargetKind, TARGETS] = "classes",
) -> tuple[Source, Source | None]:
    """A .npz file with ``images`` uint8 [N, H, W(, C)] or [N, C, H, W], ``labels`` [N], and ``test_...`` likewise."""
    path = find(root, [file], file, None)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, names, path)
            has_test = check_names(
                members, str(path), "rename them, or name them in data.arguments, such as names: {images: x_train}"
            )
            wanted = {name: members[name] for name in NAMES if name in members}
            heads = {name: _head(archive, info) for name, info in wanted.items()}
            _check(heads, has_test, path, targets)
            arrays: dict[str, Any] = {name: _read(archive, info) for name, info in wanted.items()}
    except InputError:
        raise
    except Exception as error:
        # A damaged archive fails in whatever way the bytes happen to lead to.
        raise InputError(f"{path} cannot be read as .npz ({type(error).__name__}: {error}); save it anew") from error
    return from_arrays(arrays | ({"classes": classes} if classes is not None else {}), str(path), targets)


def _members(archive: zipfile.ZipFile, names: dict[str, str], path: Path) -> dict[str, zipfile.ZipInfo]:
    """Returns the arrays of a file, those that ``names`` gives another name under that."""
    found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    for key, name in names.items():
        if name not in found:
            raise InputError(
                f"{path} must hold {name}, which names.{key} gives, and it is not there{near(name, found)}"
            )
    # A name that is given goes before an array that happens to have it.
    others = {name: info for name, info in found.items() if name not in names and name not in names.values()}
    return others | {key: found[name] for key, name in names.items()}


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NpyHeader:
    with archive.open(info) as stream:
        head = read_npy_header(stream)
    # The archive gives the unpacked size twice, and one that its packed bytes cannot reach is made up.
    packed = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    possible = min(info.file_size, info.compress_size * MOST_EXPANSION if packed else info.file_size) - head.start
    if head.dtype.kind != "O" and head.nbytes > possible:
        raise ValueError(f"{info.filename} must hold {head.nbytes:,} bytes, got at most {max(0, possible):,}")
    return head


def _check(heads: dict[str, NpyHeader], has_test: bool, path: Path, kind: TargetKind) -> None:
    """Checks types, shapes and sizes before any content is read."""
    for prefix in ("", "test_")[: 1 + has_test]:
        images, labels = heads[f"{prefix}images"], heads[f"{prefix}labels"]
        for problem in (
            image_problem(images.dtype, images.shape, f"{prefix}images"),
            target_problem(labels.dtype, labels.shape, images.shape[0] if images.shape else 0, f"{prefix}labels", kind),
        ):
            if problem:
                raise InputError(f"{path}: {problem}")
    if "classes" in heads and heads["classes"].dtype.kind == "O":
        raise InputError(f"{path}: classes must be an array of text, got objects; save np.array(classes, dtype=str)")
    size = sum(head.nbytes for head in heads.values())
    check_memory(2 * size, str(path), "save images and labels as two .npy files, which are read from disk")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array
