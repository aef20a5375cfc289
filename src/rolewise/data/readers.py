"""Readers: scikit-learn's digits, the MNIST and CIFAR families, a folder of images by class, .npz, and one's own."""

from __future__ import annotations

import gzip
import inspect
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rolewise.data.download import check_md5, data_root, extract, fetch, find
from rolewise.data.images import ImageData, Source, StreamedArray
from rolewise.data.pickles import load_plain
from rolewise.errors import InputError, RolewiseError
from rolewise.importing import failed, import_path
from rolewise.registry import Registry


@dataclass(frozen=True)
class RawData:
    """A data set as its community divides it.

    Args:
        train: the training images.
        test: the official test images, or None where there are none.
        name: what it was called.
    """

    train: Source
    test: Source | None
    name: str


#: Functions ``(root, download, memory_budget_mb, **arguments) -> (train, test)``.
READERS: Registry[Callable[..., tuple[Source, Source | None]]] = Registry("data set")

_MNIST = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FASHION = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    memory_budget_mb: float = 2048.0,
    **arguments: Any,
) -> RawData:
    """Reads a data set.

    Args:
        name: a registered name, or ``package.module:function``, which is called with ``arguments`` and returns a
            mapping with ``images`` and ``labels``, and possibly ``test_images``, ``test_labels`` and ``classes``.
        root: the folder of data; else ``ROLEWISE_DATA``, else a cache folder.
        download: fetch what is missing.
        memory_budget_mb: sets whose pixels take more are streamed from disk.
        arguments: the reader's own.

    Raises:
        InputError: the name is unknown, a file is missing or damaged, an argument is wrong.
    """
    return read_with(name, arguments, root=root, download=download, memory_budget_mb=memory_budget_mb)


def read_with(
    name: str,
    arguments: Mapping[str, Any],
    *,
    root: str | os.PathLike[str] | None,
    download: bool,
    memory_budget_mb: float,
) -> RawData:
    """Reads a data set whose own arguments may be called anything, ``root`` included (see `read`)."""
    if ":" in name:
        train, test = _own(name, arguments)
        return RawData(train, test, name)
    reader = READERS[name]
    try:
        train, test = reader(data_root(root), download, memory_budget_mb, **arguments)
    except TypeError as error:
        raise InputError(f'data set "{name}": {error}') from error
    return RawData(train, test, name)


@READERS.add("digits")
def digits(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, None]:
    """1,797 handwritten digits, 8x8, that come with scikit-learn; no test set of its own."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).div(16).mul(255).round().to(torch.uint8).unsqueeze(1)
    return ImageData(images, torch.from_numpy(bunch.target).long(), tuple(str(digit) for digit in range(10))), None


@READERS.add("mnist")
def mnist(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """MNIST: 60,000 and 10,000 handwritten digits, 28x28."""
    address = "https://ossci-datasets.s3.amazonaws.com/mnist"
    return _idx(root, download, "MNIST", address, _MNIST, tuple(str(digit) for digit in range(10)))


@READERS.add("fashion_mnist")
def fashion_mnist(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """Fashion-MNIST: 60,000 and 10,000 articles of clothing, 28x28."""
    address = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    return _idx(root, download, "FashionMNIST", address, _FASHION, _FASHION_CLASSES)


def _idx(
    root: Path, download: bool, folder: str, address: str, files: dict[str, str], classes: tuple[str, ...]
) -> tuple[Source, Source]:
    found = []
    for name, md5 in files.items():
        plain = name.removesuffix(".gz")
        candidates = [
            f"{folder}/raw/{name}",
            f"{folder}/raw/{plain}",
            f"{folder}/{name}",
            f"{folder}/{plain}",
            name,
            plain,
        ]
        if download and not any((root / candidate).exists() for candidate in candidates):
            fetch(f"{address}/{name}", root / candidates[0], md5)
        path = find(root, candidates, folder, f"{address}/{name}")
        if path.suffix == ".gz":
            check_md5(path, md5)
        found.append(read_idx(path))
    return _pair(found[0], found[1], classes, folder), _pair(found[2], found[3], classes, folder)


def _pair(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], where: str) -> ImageData:
    if images.ndim != 3 or labels.ndim != 1:
        raise InputError(
            f"{where} must hold images of 3 dimensions and labels of 1, got {images.ndim} and {labels.ndim}"
        )
    return ImageData(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)), classes)


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes, plain or gzipped.

    Raises:
        InputError: it is missing, truncated or of another kind.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise InputError(f"{path} must start as an idx file of bytes does, got {content[:4]!r}; fetch it again")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    size = int(np.prod([float(length) for length in shape]))
    if len(content) - start != size:
        raise InputError(
            f"{path} must hold {size} bytes after its head, got {len(content) - start}; it is damaged, fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


@READERS.add("cifar10")
def cifar10(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """CIFAR-10: 50,000 and 10,000 photographs of 10 classes, 32x32."""
    address = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    folder = _cifar_folder(root, download, "cifar-10-batches-py", address, "c58f30108f718f92721af3b95e74349a")
    classes = _names(load_plain(folder / "batches.meta"), "label_names", folder)
    parts = [_cifar(folder / f"data_batch_{number}", "labels", classes) for number in range(1, 6)]
    train = ImageData(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]), classes)
    return train, _cifar(folder / "test_batch", "labels", classes)


@READERS.add("cifar100")
def cifar100(root: Path, download: bool, memory_budget_mb: float, labels: str = "fine") -> tuple[Source, Source]:
    """CIFAR-100: 50,000 and 10,000 photographs of 100 classes (``labels="coarse"``: of 20), 32x32."""
    if labels not in ("fine", "coarse"):
        raise InputError(f'data.arguments.labels must be "fine" or "coarse", got {labels!r}')
    address = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    folder = _cifar_folder(root, download, "cifar-100-python", address, "eb9058c3a382ffc7106e4002c42a8d85")
    official = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    classes = _names(load_plain(folder / "meta"), f"{labels}_label_names", folder)
    parts = []
    for name, md5 in official.items():
        if (folder / name).exists():
            check_md5(folder / name, md5)
        parts.append(_cifar(folder / name, f"{labels}_labels", classes))
    return parts[0], parts[1]


def _cifar_folder(root: Path, download: bool, name: str, address: str, md5: str) -> Path:
    if download and not (root / name).exists():
        archive = root / address.rsplit("/", 1)[1]
        fetch(address, archive, md5)
        extract(archive, root)
    return find(root, [name], name, address)


def _names(meta: Any, key: str, folder: Path) -> tuple[str, ...]:
    names = meta.get(key.encode()) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, (bytes, str)) for name in names):
        raise InputError(f"{folder}: the file of class names must hold a list {key}; fetch it again")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in names)


def _cifar(path: Path, key: str, classes: tuple[str, ...]) -> ImageData:
    record = load_plain(path)
    data = record.get(b"data") if isinstance(record, dict) else None
    labels = record.get(key.encode()) if isinstance(record, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise InputError(f"{path} must hold data uint8 [N, 3072]; it is damaged, fetch it again")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(isinstance(label, int) for label in labels):
        raise InputError(f"{path} must hold a list {key} of {len(data)} whole numbers; it is damaged, fetch it again")
    try:
        return ImageData(torch.from_numpy(data.reshape(-1, 3, 32, 32).copy()), torch.tensor(labels), classes)
    except (InputError, RuntimeError) as error:
        raise InputError(f"{path}: {error}") from error


@READERS.add("npz")
def npz(root: Path, download: bool, memory_budget_mb: float, file: str = "data.npz") -> tuple[Source, Source | None]:
    """A .npz file with ``images`` uint8 [N, H, W(, C)] or [N, C, H, W], ``labels`` [N], and ``test_...`` likewise."""
    path = find(root, [file], file, "whoever made it")
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {key: content[key] for key in content.files}
    except Exception as error:
        # A damaged archive fails in whatever way the bytes happen to lead to.
        raise InputError(f"{path} cannot be read as .npz ({type(error).__name__}: {error}); save it anew") from error
    return from_arrays(arrays, str(path))


@READERS.add("npy")
def npy(
    root: Path, download: bool, memory_budget_mb: float, images: str = "images.npy", labels: str = "labels.npy"
) -> tuple[Source, None]:
    """Two .npy files, ``images`` uint8 [N, C, H, W] and ``labels`` [N]; above the budget the images stay on disk."""
    image_path, label_path = (find(root, [name], name, "whoever made it") for name in (images, labels))
    try:
        array, numbers = np.load(image_path, mmap_mode="r", allow_pickle=False), np.load(label_path, allow_pickle=False)
    except Exception as error:
        raise InputError(f"{image_path} or {label_path} cannot be read as .npy ({error}); save them anew") from error
    if array.ndim != 4 or array.dtype != np.uint8 or array.shape[1] not in (1, 3):
        raise InputError(
            f"{image_path} must be uint8 [N, C, H, W] with C 1 or 3, got {array.dtype} {list(array.shape)}"
        )
    target = _labels(numbers, str(label_path))
    classes = tuple(str(label) for label in range(int(target.max()) + 1 if len(target) else 0))
    if array.nbytes > memory_budget_mb * 1e6:
        return StreamedArray(array, target, classes), None
    return ImageData(torch.from_numpy(np.array(array)), target, classes), None


def _own(name: str, arguments: Mapping[str, Any]) -> tuple[Source, Source | None]:
    function = import_path(name, "function")
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise InputError(f'data.arguments must be those of "{name}", and are not: {error}; change them') from error
    except ValueError:
        pass  # a callable that does not tell its arguments
    try:
        arrays = function(**arguments)
    except RolewiseError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(f'the data function "{name}"', name.partition(":")[0], error) from error
    return from_arrays(arrays, f'"{name}"')


def from_arrays(arrays: Any, where: str) -> tuple[ImageData, ImageData | None]:
    """Makes data out of a mapping of arrays: ``images``, ``labels``, and possibly ``test_...`` and ``classes``.

    Raises:
        InputError: one is missing, or its shape, type or range is wrong.
    """
    if not isinstance(arrays, dict) or "images" not in arrays or "labels" not in arrays:
        raise InputError(f"{where} must hold images and labels")
    pairs = []
    for prefix in ("", "test_"):
        if f"{prefix}images" in arrays:
            if f"{prefix}labels" not in arrays:
                raise InputError(f"{where} must hold {prefix}labels beside {prefix}images")
            pairs.append((_images(arrays[f"{prefix}images"], where), _labels(arrays[f"{prefix}labels"], where)))
    top = max((int(labels.max()) for _, labels in pairs if len(labels)), default=-1)
    classes = tuple(map(str, arrays["classes"])) if "classes" in arrays else tuple(map(str, range(top + 1)))
    made = [ImageData(images, labels, classes) for images, labels in pairs]
    return made[0], made[1] if len(made) > 1 else None


def _images(value: Any, where: str) -> torch.Tensor:
    array = np.asarray(value)
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise InputError(
            f"{where}: images must be uint8 [N, H, W], [N, H, W, C] or [N, C, H, W], "
            f"got {array.dtype} {list(array.shape)}"
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(array))


def _labels(value: Any, where: str) -> torch.Tensor:
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{where}: labels must be whole numbers [N], got {array.dtype} {list(array.shape)}")
    return torch.from_numpy(array.astype(np.int64))
