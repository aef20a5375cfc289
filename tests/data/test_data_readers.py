"""Readers, on files in their community's layout, whole and damaged."""

from __future__ import annotations

import gzip
import pickle
import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.data import ChecksumWarning, ImageData, StreamedArray, StreamedFiles, batches, read
from rolewise.data.download import extract, fetch
from rolewise.data.readers import digits as digits_reader
from rolewise.errors import InputError


def write_idx(path: Path, array: np.ndarray, zipped: bool = True) -> None:
    head = b"\0\0\x08" + bytes([array.ndim]) + b"".join(struct.pack(">I", length) for length in array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if zipped else content)


def write_mnist(root: Path, folder: str = "MNIST/raw", zipped: bool = True) -> None:
    rng = np.random.default_rng(0)
    end = ".gz" if zipped else ""
    for part, count in (("train", 20), ("t10k", 10)):
        write_idx(root / folder / f"{part}-images-idx3-ubyte{end}", rng.integers(0, 256, (count, 28, 28)), zipped)
        write_idx(root / folder / f"{part}-labels-idx1-ubyte{end}", rng.integers(0, 10, count), zipped)


def write_cifar100(root: Path, count: int = 12) -> Path:
    rng = np.random.default_rng(0)
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        record = {
            b"data": rng.integers(0, 256, (count, 3072)).astype(np.uint8),
            b"fine_labels": rng.integers(0, 100, count).tolist(),
            b"coarse_labels": rng.integers(0, 20, count).tolist(),
        }
        (folder / part).write_bytes(pickle.dumps(record, protocol=2))
    meta = {
        b"fine_label_names": [b"c%d" % i for i in range(100)],
        b"coarse_label_names": [b"s%d" % i for i in range(20)],
    }
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def test_digits_are_scikit_learns_wherever_its_file_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    expected = load_digits()
    images = torch.from_numpy(expected.images).div(16).mul(255).round().to(torch.uint8).unsqueeze(1)
    for place in (digits_reader._FILE, "datasets/data/moved.csv.gz"):
        monkeypatch.setattr(digits_reader, "_FILE", place)
        source = read("digits").train
        assert isinstance(source, ImageData) and torch.equal(source.images, images)
        assert torch.equal(source.labels, torch.from_numpy(expected.target)) and source.labels.dtype == torch.int64


def test_digits() -> None:
    raw = read("digits")
    assert len(raw.train) == 1797 and raw.train.size == (8, 8) and raw.test is None
    images = raw.train.batch(torch.arange(1797))
    assert images.dtype == torch.uint8 and int(images.max()) == 255 and images.unique().numel() == 17


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_layouts(tmp_path: Path, zipped: bool) -> None:
    write_mnist(tmp_path, zipped=zipped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChecksumWarning)
        raw = read("mnist", root=tmp_path)
    assert len(raw.train) == 20 and raw.test is not None and len(raw.test) == 10
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28))
    assert np.array_equal(raw.train.batch(torch.arange(20))[:, 0].numpy(), expected)


def test_an_unofficial_file_warns_and_is_used(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.warns(ChecksumWarning, match="md5"):
        read("mnist", root=tmp_path)


def test_a_missing_file_names_file_folder_and_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (("mnist", "train-images-idx3-ubyte"), ("cifar100", "cifar-100-python"), ("cifar10", "cifar-10")):
        with pytest.raises(InputError) as caught:
            read(name, root=tmp_path)
        assert part in str(caught.value) and str(tmp_path) in str(caught.value) and "http" in str(caught.value)
    monkeypatch.setenv("ROLEWISE_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="elsewhere"):
        read("fashion_mnist")


def test_cifar100(tmp_path: Path) -> None:
    write_cifar100(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChecksumWarning)
        fine, coarse = read("cifar100", root=tmp_path), read("cifar100", root=tmp_path, labels="coarse")
        small = read("cifar100", root=tmp_path, size=16).train
    assert len(fine.train.classes) == 100 and len(coarse.train.classes) == 20
    expected = np.random.default_rng(0).integers(0, 256, (12, 3072)).astype(np.uint8).reshape(12, 3, 32, 32)
    assert np.array_equal(fine.train.batch(torch.arange(12)).numpy(), expected)
    blocks = fine.train.batch(torch.arange(12)).double().unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    assert small.size == (16, 16) and torch.equal(small.labels, fine.train.labels)
    assert torch.equal(small.batch(torch.arange(12)), (blocks + 0.5).floor().to(torch.uint8))
    with pytest.raises(InputError, match="size: must be 32, or 16 for means of 2x2 pixels, got 8"):
        read("cifar100", root=tmp_path, size=8)
    with pytest.raises(InputError, match="coarse"):
        read("cifar100", root=tmp_path, labels="rough")


def test_cifar10(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        record = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 9]}
        (folder / name).write_bytes(pickle.dumps(record))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"c%d" % i for i in range(10)]}))
    raw = read("cifar10", root=tmp_path)
    assert len(raw.train) == 20 and raw.test is not None and len(raw.test) == 4


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_a_pickle_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_cifar100(tmp_path)
    (folder / "train").write_bytes(pickle.dumps({b"data": Malicious()}, protocol=2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChecksumWarning)
        with pytest.raises(InputError, match="not admitted"):
            read("cifar100", root=tmp_path)
    assert not (tmp_path / "executed").exists()


def damaged(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))]) if rng.random() < 0.4 else bytes(changed)


def test_damaged_files_are_refused_or_right_shaped(tmp_path: Path) -> None:
    rng = random.Random(0)
    write_mnist(tmp_path, zipped=False)
    folder = write_cifar100(tmp_path)
    np.savez(tmp_path / "data.npz", images=np.zeros((6, 8, 8), np.uint8), labels=np.arange(6))
    targets = {
        "mnist": tmp_path / "MNIST/raw/train-images-idx3-ubyte",
        "cifar100": folder / "train",
        "npz": tmp_path / "data.npz",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, path in targets.items():
            content = path.read_bytes()
            for _ in range(120):
                path.write_bytes(damaged(content, rng))
                try:
                    raw = read(name, root=tmp_path)
                except InputError as error:
                    assert str(error)
                else:
                    images = raw.train.batch(torch.arange(len(raw.train)))
                    assert images.dtype == torch.uint8 and images.ndim == 4
                    assert int(raw.train.labels.max()) < len(raw.train.classes)
            path.write_bytes(content)


def write_images(root: Path, parts: tuple[str, ...] = ("train", "test")) -> None:
    for at, part in enumerate(parts):
        for label, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for number in range(3):
                colour = (100 * label, 10 * number, 50 * at)
                Image.new("RGB", (20, 10), colour).save(root / part / name / f"{number}.png")


def test_an_image_folder_resident_and_streamed_give_the_same(tmp_path: Path) -> None:
    write_images(tmp_path)
    resident = read("image_folder", root=tmp_path, size=8)
    streamed = read("image_folder", root=tmp_path, size=8, memory_budget_mb=0.0001)
    assert isinstance(streamed.train, StreamedFiles) and not isinstance(resident.train, StreamedFiles)
    assert resident.train.classes == ("cat", "dog") and resident.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    order = torch.tensor([5, 0, 3, 1])
    for a, b in zip(batches(resident.train, order, 3), batches(streamed.train, order, 3), strict=True):
        assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and torch.equal(a.indices, b.indices)
    assert resident.train.batch(torch.tensor([4]))[0, :, 4, 4].tolist() == [100, 10, 0]
    grey = read("image_folder", root=tmp_path, folder="train", size=(4, 6), grayscale=True)
    assert grey.train.size == (4, 6) and grey.train.channels == 1 and grey.test is None
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0\.png"):
        read("image_folder", root=tmp_path, size=8)
    for name in ("a", "b"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(InputError, match="must hold images"):
        read("image_folder", root=tmp_path, folder="empty")


def test_npy_above_the_budget_stays_on_disk(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 5)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(9) % 3)
    small, large = read("npy", root=tmp_path), read("npy", root=tmp_path, memory_budget_mb=0.0001)
    assert isinstance(large.train, StreamedArray) and large.train.size == (5, 5) and large.train.channels == 3
    order = torch.tensor([8, 0, 4])
    assert torch.equal(small.train.batch(order), large.train.batch(order))
    assert np.array_equal(large.train.batch(order).numpy(), images[[8, 0, 4]])
    np.save(tmp_path / "images.npy", images.astype(np.float32))
    with pytest.raises(InputError, match="uint8"):
        read("npy", root=tmp_path)


def own(count: int = 4, **wrong):
    arrays = {"images": np.zeros((count, 6, 6, 3), np.uint8), "labels": np.arange(count) % 2}
    return {**arrays, **wrong}


def test_ones_own_function() -> None:
    raw = read(f"{__name__}:own", count=6)
    assert len(raw.train) == 6 and raw.train.channels == 3 and raw.test is None
    for wrong, part in (({"images": np.zeros((4, 6))}, "uint8"), ({"labels": np.zeros(4)}, "whole numbers")):
        with pytest.raises(InputError, match=part):
            read(f"{__name__}:own", **wrong)
    with pytest.raises(InputError, match="has no 'nothing'"):
        read(f"{__name__}:nothing")
    with pytest.raises(InputError, match='did you mean "mnist"'):
        read("mnits")
    with pytest.raises(InputError, match="digits"):
        read("digits", colour=True)


def test_a_download_that_fails_keeps_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"content")
    target = tmp_path / "folder" / "target.bin"
    with pytest.raises(InputError, match="md5"):
        fetch(source.as_uri(), target, "0" * 32)
    assert not target.exists()
    fetch(source.as_uri(), target, "9a0364b9e99bb480dd25e1f0284c8555")
    assert target.read_bytes() == b"content"
    with pytest.raises(InputError, match="could not be downloaded"):
        fetch((tmp_path / "missing").as_uri(), target, "0")


def test_an_archive_stays_in_its_folder(tmp_path: Path) -> None:
    import tarfile

    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x", "../outside")
    with pytest.raises(InputError, match=r"got '\.\./outside'"):
        extract(tmp_path / "a.tar.gz", tmp_path / "inside")
    assert not (tmp_path / "outside").exists() and not (tmp_path / "inside").exists()


@pytest.mark.slow
def test_real_data(restored) -> None:
    fashion = read("fashion_mnist", root=restored("fashion-mnist", "FashionMNIST"))
    assert len(fashion.train) == 60_000 and fashion.test is not None and len(fashion.test) == 10_000
    assert fashion.train.labels.bincount().tolist() == [6000] * 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChecksumWarning)
        cifar = read("cifar100", root=restored("cifar100", "cifar-100-python"))
    assert cifar.train.labels.bincount().tolist() == [500] * 100
    means = cifar.train.batch(torch.arange(50_000)).double().mean((0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.5071, 0.4867, 0.4408], abs=2e-4)
