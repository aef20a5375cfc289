"""A folder of images by class: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from rolewise.data.download import find
from rolewise.data.images import ImageData, Source, StreamedFiles
from rolewise.data.readers import READERS
from rolewise.errors import InputError

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"}


@READERS.add("image_folder")
def image_folder(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    folder: str = ".",
    size: int | tuple[int, int] = 32,
    grayscale: bool = False,
) -> tuple[Source, Source | None]:
    """Image files by class; each is scaled to cover ``size`` (H, W) and cropped in the middle."""
    path = find(root, [folder], folder, "whoever made it")
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    divided = (path / "train").is_dir()
    classes = _classes(path / "train" if divided else path)
    sources = []
    for part in ("train", "test") if divided else (".",):
        if (path / part).is_dir():
            sources.append(_source(path / part, classes, (height, width), grayscale, memory_budget_mb))
    return sources[0], sources[1] if len(sources) > 1 else None


def _classes(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not names:
        raise InputError(f"{path} must hold one folder for each class, got none")
    return names


def _source(path: Path, classes: tuple[str, ...], size: tuple[int, int], grayscale: bool, budget: float) -> Source:
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(file for file in (path / name).rglob("*") if file.suffix.lower() in _ENDINGS)
        if not found:
            raise InputError(f"{path / name} must hold images, got none")
        files += found
        labels += [label] * len(found)
    channels = 1 if grayscale else 3
    decode = functools.partial(decode_image, size=size, channels=channels)
    streamed = StreamedFiles(files, torch.tensor(labels), classes, decode, channels, size)
    if len(files) * channels * size[0] * size[1] > budget * 1e6:
        return streamed
    return ImageData(streamed.batch(torch.arange(len(files))), streamed.labels, classes)


def decode_image(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Reads one image file as uint8 [C, H, W].

    Raises:
        InputError: the file is damaged or no image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            fitted = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (size[1], size[0]))
            pixels = np.asarray(fitted, np.uint8)
    except Exception as error:
        # Pillow's decoders fail in whatever way the bytes happen to lead to.
        raise InputError(
            f"{path} cannot be read as an image ({type(error).__name__}: {error}); remove or replace it"
        ) from error
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
