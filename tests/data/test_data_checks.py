"""Nothing takes memory, and nothing waits, before files have been looked at; settings of readers have rules."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rolewise.data import READERS, argument_faults, read, reader_settings
from rolewise.data.download import fetch
from rolewise.data.idx import read_idx
from rolewise.data.pickles import load_plain
from rolewise.errors import InputError
from rolewise.experiment.catalogue import catalogue
from rolewise.machine_memory import free_memory


def idx(*shape: int, kind: int = 8, body: bytes = b"") -> bytes:
    return bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", length) for length in shape) + body


def test_an_idx_file_is_judged_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content, part in (
        (idx(10**9, 28, 28), "must hold 784,000,000,000 bytes"),
        (idx(2, 2, body=b"123"), "must hold 4 bytes"),
        (idx(2, 2, body=b"12345"), "must hold 4 bytes"),
        (idx(2, kind=13, body=bytes(8)), "must be an idx file of uint8, got float32"),
        (idx(2, kind=11, body=bytes(4)), "got int16"),
        (idx(2)[:6], "ends within its head"),
        (b"\x93NUMPY", "must start as an idx file does"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=part):
            read_idx(path)
        zipped = tmp_path / "a.gz"
        zipped.write_bytes(gzip.compress(content))
        with pytest.raises(InputError, match=r"a\.gz"):
            read_idx(zipped)
    path.write_bytes(idx(2, 2, body=b"1234"))
    assert read_idx(path).tolist() == [[49, 50], [51, 52]] and read_idx(path).flags.writeable


def test_a_gz_file_that_expands_without_end_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx(4))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="must hold 4 bytes after its head, got more than 4"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_memory_has_no_room_for_is_refused_with_its_size(tmp_path: Path, monkeypatch) -> None:
    assert (free_memory() or 1) > 0
    monkeypatch.setattr("rolewise.data.data_checks.free_memory", lambda: 100)
    np.savez(tmp_path / "data.npz", images=np.zeros((6, 8, 8), np.uint8), labels=np.arange(6) % 2)
    with pytest.raises(InputError, match=r"takes .* GB, and this machine has .* GB free; save .* as two \.npy files"):
        read("npz", root=tmp_path)
    np.save(tmp_path / "images.npy", np.zeros((6, 8, 8), np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(6) % 2)
    with pytest.raises(InputError, match=r"lower data\.memory_budget_mb"):
        read("npy", root=tmp_path)
    assert len(read("npy", root=tmp_path, memory_budget_mb=1e-6).train) == 6
    (tmp_path / "a").write_bytes(idx(10, 10, body=bytes(100)))
    with pytest.raises(InputError, match="GB free"):
        read_idx(tmp_path / "a")


def test_an_npz_head_that_its_packed_bytes_cannot_reach_is_refused(tmp_path: Path) -> None:
    head = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "data.npz", "w", method) as archive:
            archive.writestr("images.npy", head.ljust(127) + b"\n" + bytes(100))
            archive.writestr("labels.npy", head.ljust(127) + b"\n" + bytes(100))
        with pytest.raises(InputError, match="must hold 1,000,000,000,000 bytes"):
            read("npz", root=tmp_path)
    (tmp_path / "images.npy").write_bytes(head.ljust(127) + b"\n" + bytes(100))
    np.save(tmp_path / "labels.npy", np.arange(6) % 2)
    with pytest.raises(InputError, match="must hold 1,000,000,000,000 bytes"):
        read("npy", root=tmp_path)


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.npz"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    for name, arguments in (("npz", {}), ("npy", {"images": "data.npz", "labels": "data.npz"})):
        with pytest.raises(InputError, match=f"must be a file, got {kind}"):
            read(name, root=tmp_path, **arguments)
    for reader in (load_plain, read_idx):
        with pytest.raises(InputError, match=f"must be a file, got {kind}"):
            reader(path)
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "train-images-idx3-ubyte").symlink_to(path)
    with pytest.raises(InputError, match=f"must be a file, got {kind}"):
        read("mnist", root=tmp_path)
    if kind != "a folder":
        (tmp_path / "cifar-100-python").symlink_to(path)
        with pytest.raises(InputError, match=f"must be a folder, got {kind}"):
            read("cifar100", root=tmp_path)


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(InputError, match=r"batches\.meta is missing"):
        read("cifar10", root=tmp_path)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"batches\.meta must be a file, got a link that leads nowhere"):
        read("cifar10", root=tmp_path)
    with pytest.raises(InputError, match=r"data\.npz is missing; set data\.root to the folder it is in"):
        read("npz", root=tmp_path)


@pytest.mark.parametrize("root", ["x" * 5000, "a\0b", "~nobody-of-this-name/x"])
@pytest.mark.parametrize("name", ["mnist", "cifar100", "image_folder", "npz", "npy"])
def test_a_place_that_cannot_be_is_missing(tmp_path: Path, monkeypatch, root: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        read(name, root=root)


def test_a_download_that_never_ends_is_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rolewise.data.download._LARGEST_DOWNLOAD", 10)
    (tmp_path / "long").write_bytes(bytes(100))
    with pytest.raises(InputError, match="more than 10 bytes came"):
        fetch((tmp_path / "long").as_uri(), tmp_path / "kept", "0")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("name", list(READERS))
def test_every_setting_of_a_reader_has_a_rule_that_its_default_keeps(name: str) -> None:
    import inspect

    for key, parameter in list(inspect.signature(READERS[name]).parameters.items())[3:]:
        assert not list(argument_faults(name, {key: parameter.default}))
        assert [fault for _, fault in argument_faults(name, {key: object()}) if "must be" in fault]
    assert [key for key, _ in argument_faults(name, {"nonsense": 1})] == ["nonsense"]
    shown = dict(catalogue()["data"])[name]
    assert all(f"{key}=" in shown for key in reader_settings(name))


@pytest.mark.parametrize(
    ("name", "key", "value", "part"),
    [
        *[
            ("image_folder", "size", value, "a whole number of pixels from 1 to 8192")
            for value in ("8", 0, -3, 10**9, [8], [8, 8, 8], [8, "8"], 8.0, True, None)
        ],
        ("image_folder", "folder", 3, "text"),
        ("image_folder", "grayscale", "no", "true or false"),
        ("image_folder", "background", 256, "0 to 255"),
        ("image_folder", "train", "", "text"),
        ("cifar100", "labels", "rough", '"fine" or "coarse", got "rough"'),
        ("npz", "file", ["a"], "text"),
        ("npy", "classes", ["a", "a"], "distinct names"),
        ("npy", "classes", "ab", "distinct names"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_named(name: str, key: str, value: object, part: str) -> None:
    assert [(found, part in fault) for found, fault in argument_faults(name, {key: value})] == [(key, True)]
    with pytest.raises(InputError, match=f'data set "{name}", {key}: must be'):
        read(name, **{key: value})


def test_a_file_as_folder_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="must be a folder, got a file"):
        read("image_folder", root=tmp_path, folder="x")
