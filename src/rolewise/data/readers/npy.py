"""Two .npy files, images and labels; large images stay on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from rolewise.data.arguments import CLASSES, TARGETS, TEXT
from rolewise.data.arrays import channels_first, image_problem, targets_and_names
from rolewise.data.data_checks import check_memory
from rolewise.data.download import find
from rolewise.data.image_sources import ImageData, Source, StreamedArray
from rolewise.data.npy_header import NpyHeader, read_npy_header
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import TargetKind, target_problem
from rolewise.errors import InputError


@READERS.add("npy")
def npy(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    images: Annotated[str, TEXT] = "images.npy",
    labels: Annotated[str, TEXT] = "labels.npy",
    classes: Annotated[list[str] | None, CLASSES] = None,
    targets: Annotated[TargetKind, TARGETS] = "classes",
) -> tuple[Source, None]:
    """Two .npy files, ``images`` uint8 [N, H, W(, C)] or [N, C, H, W] and ``labels`` [N]; large ones stay on disk."""
    image_path, label_path = (find(root, [name], name, None) for name in (images, labels))
    image_head, label_head = _head(image_path), _head(label_path)
    for path, problem in (
        (image_path, image_problem(image_head.dtype, image_head.shape, "images")),
        (label_path, target_problem(label_head.dtype, label_head.shape, (*image_head.shape, 0)[0], "labels", targets)),
    ):
        if problem:
            raise InputError(f"{path}: {problem}")
    streamed = image_head.nbytes > memory_budget_mb * 1e6
    if not streamed:
        check_memory(image_head.nbytes, str(image_path), "lower data.memory_budget_mb, so that they stay on disk")
    array = channels_first(np.load(image_path, mmap_mode="r", allow_pickle=False))
    values = np.load(label_path, allow_pickle=False)
    target, _, names = targets_and_names(values, None, classes, str(label_path), targets)
    if streamed:
        return StreamedArray(array, target, names), None
    return ImageData(torch.from_numpy(np.array(array, order="C")), target, names), None


def _head(path: Path) -> NpyHeader:
    """Reads a head and holds it against the size of the file."""
    try:
        with path.open("rb") as stream:
            head = read_npy_header(stream)
    except Exception as error:
        raise InputError(f"{path} cannot be read as .npy ({type(error).__name__}: {error}); save it anew") from error
    size = path.stat().st_size - head.start
    if head.dtype.kind != "O" and head.nbytes != size:
        raise InputError(f"{path} must hold {head.nbytes:,} bytes after its head, got {size:,}; save it anew")
    return head
