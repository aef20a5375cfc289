"""CIFAR-10 and CIFAR-100, out of their pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from rolewise.data.arguments import Rule, one_of
from rolewise.data.download import check_md5, extract, fetch, find
from rolewise.data.image_sources import ImageData, Source
from rolewise.data.labels import label_problem
from rolewise.data.pickles import load_plain
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError
from rolewise.files import kind_of

_SIDE = Rule("32, or 16 for means of 2x2 pixels", lambda value: type(value) is int and value in (16, 32))


@READERS.add("cifar10")
def cifar10(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """CIFAR-10: 50,000 and 10,000 photographs of 10 classes, 32x32."""
    address = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    folder = _folder(root, download, "cifar-10-batches-py", address, "c58f30108f718f92721af3b95e74349a")
    classes = _names(folder / "batches.meta", "label_names")
    parts = [_part(folder / f"data_batch_{number}", "labels", classes) for number in range(1, 6)]
    train = ImageData(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]), classes)
    return train, _part(folder / "test_batch", "labels", classes)


@READERS.add("cifar100")
def cifar100(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    labels: Annotated[str, one_of("fine", "coarse")] = "fine",
    size: Annotated[int, _SIDE] = 32,
) -> tuple[Source, Source]:
    """CIFAR-100: 50,000 and 10,000 photographs of 100 classes (``labels="coarse"``: of 20), 32x32.

    With ``size=16`` they are halved: the mean of 2x2 pixels, a half rounded up. A step costs a quarter of the work.

    Args:
        root: folder of the data.
        download: whether what is absent is fetched.
        memory_budget_mb: of no influence; the images take 180 MB.
        labels: fine for the 100 classes, coarse for the 20 groups of them.
        size: height and width in pixels.
    """
    address = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    folder = _folder(root, download, "cifar-100-python", address, "eb9058c3a382ffc7106e4002c42a8d85")
    official = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    classes = _names(folder / "meta", f"{labels}_label_names")
    parts = []
    for name, md5 in official.items():
        if kind_of(folder / name) == "a file":
            check_md5(folder / name, md5)
        parts.append(_part(folder / name, f"{labels}_labels", classes))
    return _of_size(parts[0], size), _of_size(parts[1], size)


def _of_size(data: ImageData, size: int) -> ImageData:
    """Returns images of 32x32 as they are, or halved."""
    if size == 32:
        return data
    blocks = data.images.view(len(data), 3, size, 2, size, 2)
    sums = blocks.sum((3, 5), dtype=torch.int16)
    return ImageData(((sums + 2) // 4).to(torch.uint8), data.labels, data.classes)


def _folder(root: Path, download: bool, name: str, address: str, md5: str) -> Path:
    if download and kind_of(root / name) is None:
        archive = root / address.rsplit("/", 1)[1]
        fetch(address, archive, md5)
        extract(archive, root)
    return find(root, [name], name, address, "a folder")


def _entry(record: Any, key: str, path: Path) -> Any:
    """Returns an entry of a pickled mapping; its keys are bytes where Python 2 wrote it, text where Python 3 did."""
    if not isinstance(record, dict):
        raise InputError(f"{path} must hold a mapping with {key}, got {type(record).__name__}; is it another file?")
    for name in (key.encode(), key):
        if name in record:
            return record[name]
    found = ", ".join(sorted(_text(name) for name in record if isinstance(name, (bytes, str)))[:12])
    raise InputError(f"{path} must hold {key}, got a mapping of {found or 'nothing'}; is it another data set's file?")


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _names(path: Path, key: str) -> tuple[str, ...]:
    names = _entry(load_plain(path), key, path)
    if not isinstance(names, list) or not names or not all(isinstance(name, (bytes, str)) for name in names):
        raise InputError(f"{path} must hold the class names as a list {key}, got {type(names).__name__}")
    return tuple(map(_text, names))


def _part(path: Path, key: str, classes: tuple[str, ...]) -> ImageData:
    record = load_plain(path)
    images = _images(_entry(record, "data", path), path)
    labels = _labels(_entry(record, key, path), key, len(images), path)
    try:
        return ImageData(torch.from_numpy(images), torch.from_numpy(labels), classes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _images(data: Any, path: Path) -> np.ndarray:
    wanted = "data must be uint8 [N, 3072], [N, 3, 32, 32] or [N, 32, 32, 3]"
    if not isinstance(data, np.ndarray):
        raise InputError(f"{path}: {wanted}, got {type(data).__name__}; save it as an array")
    shape = data.shape[1:]
    if data.dtype != np.uint8 or shape not in ((3072,), (3, 32, 32), (32, 32, 3)):
        raise InputError(f"{path}: {wanted}, got {data.dtype} {list(data.shape)}; convert it")
    rows = data.transpose(0, 3, 1, 2) if shape == (32, 32, 3) else data.reshape(-1, 3, 32, 32)
    # A copy, because an unpickled array is read-only.
    return np.array(rows, order="C")


def _labels(labels: Any, key: str, num: int, path: Path) -> np.ndarray:
    if isinstance(labels, list):
        if not all(type(label) is int and abs(label) < 1 << 62 for label in labels):
            raise InputError(f"{path}: {key} must be whole numbers; convert them")
        labels = np.array(labels, np.int64)
    if not isinstance(labels, np.ndarray):
        raise InputError(f"{path}: {key} must be a list or an array, got {type(labels).__name__}; convert it")
    problem = label_problem(labels.dtype, labels.shape, num, key)
    if problem:
        raise InputError(f"{path}: {problem}")
    return labels.astype(np.int64)
