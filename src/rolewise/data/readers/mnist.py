"""MNIST and Fashion-MNIST, out of idx files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rolewise.data.download import check_md5, fetch, find
from rolewise.data.idx import read_idx
from rolewise.data.image_sources import ImageData, Source
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError
from rolewise.files import kind_of

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


@READERS.add("mnist")
def mnist(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """MNIST: 60,000 and 10,000 handwritten digits, 28x28."""
    address = "https://ossci-datasets.s3.amazonaws.com/mnist"
    return _read(root, download, "MNIST", address, _MNIST, tuple(str(digit) for digit in range(10)))


@READERS.add("fashion_mnist")
def fashion_mnist(root: Path, download: bool, memory_budget_mb: float) -> tuple[Source, Source]:
    """Fashion-MNIST: 60,000 and 10,000 articles of clothing, 28x28."""
    address = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    return _read(root, download, "FashionMNIST", address, _FASHION, _FASHION_CLASSES)


def _read(
    root: Path, download: bool, folder: str, address: str, files: dict[str, str], classes: tuple[str, ...]
) -> tuple[Source, Source]:
    paths, found = [], []
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
        if download and not any(kind_of(root / candidate) for candidate in candidates):
            fetch(f"{address}/{name}", root / candidates[0], md5)
        path = find(root, candidates, folder, f"{address}/{name}")
        if path.suffix == ".gz":
            check_md5(path, md5)
        paths.append(path)
        found.append(read_idx(path))
    return _pair(found[0], found[1], classes, paths[:2]), _pair(found[2], found[3], classes, paths[2:])


def _pair(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], paths: list[Path]) -> ImageData:
    for array, path, wanted in ((images, paths[0], "[N, H, W]"), (labels, paths[1], "[N]")):
        if array.ndim != wanted.count(",") + 1:
            raise InputError(f"{path} must have the shape {wanted}, got {list(array.shape)}; is it another file?")
    if len(images) != len(labels):
        raise InputError(
            f"{paths[1]} must hold one label for each image, got {len(labels):,} labels for the {len(images):,} images "
            f"of {paths[0].name}; do the two files belong together?"
        )
    try:
        return ImageData(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)), classes)
    except InputError as error:
        raise InputError(f"{paths[0]} and {paths[1].name}: {error}") from error
