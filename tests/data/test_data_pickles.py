"""CIFAR's pickles: the dialects that people have are read, and whatever is no plain array is refused."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.data import read
from rolewise.data.pickles import load_plain
from rolewise.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 3, 32, 32)).astype(np.uint8)
LABELS = [0, 9, 3, 3, 1, 7]


def write_cifar10(root: Path, record: dict[Any, Any], protocol: int = 2, text: bool = False) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(exist_ok=True)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps(record, protocol=protocol))
    names = [f"c{number}" for number in range(10)]
    meta: dict[Any, Any] = {"label_names": names} if text else {b"label_names": [name.encode() for name in names]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=protocol))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("data", "labels", "text"),
    [
        (IMAGES.reshape(6, 3072), LABELS, False),
        (IMAGES.reshape(6, 3072), LABELS, True),
        (IMAGES.transpose(0, 2, 3, 1), np.array(LABELS), True),
        (np.asfortranarray(IMAGES), np.array(LABELS, np.uint8), True),
        (IMAGES, [np.int32(label) for label in LABELS], False),
        (IMAGES, np.array(LABELS, ">i4"), False),
    ],
)
def test_the_dialects_of_cifar_give_the_same(tmp_path: Path, protocol: int, data, labels, text: bool) -> None:
    record = {"data": data, "labels": labels} if text else {b"data": data, b"labels": labels}
    write_cifar10(tmp_path, record, protocol, text)
    raw = read("cifar10", root=tmp_path)
    assert raw.test is not None and raw.train.classes[9] == "c9" and len(raw.train) == 30
    assert np.array_equal(raw.test.batch(torch.arange(6)).numpy(), IMAGES) and raw.test.labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        (
            {b"data": IMAGES.astype(float), b"labels": LABELS},
            ["data must be uint8 [N, 3072]", "float64 [6, 3, 32, 32]"],
        ),
        ({b"data": IMAGES[:, :, :28], b"labels": LABELS}, ["[N, 32, 32, 3]", "[6, 3, 28, 32]"]),
        ({b"images": IMAGES, b"labels": LABELS}, ["must hold data", "images, labels"]),
        ({b"data": IMAGES, b"fine_labels": LABELS}, ["must hold labels", "data, fine_labels"]),
        ({b"data": IMAGES, b"labels": LABELS[:4]}, ["[N]", "6 images", "int64 [4]"]),
        ({b"data": IMAGES, b"labels": np.array(LABELS)[:, None]}, ["labels[:, 0]"]),
        ({b"data": IMAGES, b"labels": np.eye(10)[LABELS]}, ["labels.argmax(1)"]),
        ({b"data": IMAGES, b"labels": [float(one) for one in LABELS]}, ["whole numbers"]),
        ({b"data": IMAGES, b"labels": [0, 1, 2, 3, 4, 10]}, ["0 to 9", "0 to 10"]),
        ({b"data": IMAGES, b"labels": [0, 1, 2, 3, 4, 10**9]}, ["0 to 9", "1000000000"]),
        ({b"data": IMAGES, b"labels": [0, 1, 2, 3, 4, 10**30]}, ["whole numbers"]),
    ],
)
def test_a_shape_is_called_a_shape_and_a_good_file_is_not_called_damaged(tmp_path: Path, record, parts) -> None:
    write_cifar10(tmp_path, record)
    with pytest.raises(InputError) as caught:
        read("cifar10", root=tmp_path)
    assert all(part in str(caught.value) for part in [*parts, "data_batch_1"]), str(caught.value)
    assert "damaged" not in str(caught.value)


class Made:
    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def forged_dtype(code: str = "u1", *state: Any) -> Made:
    return Made(np.dtype, (code, False, True), tuple(state)) if state else Made(np.dtype, (code, False, True))


def forged_array(dtype: Any, content: Any, shape: Any = (1,)) -> Made:
    reconstruct = np.zeros(1).__reduce__()[0]
    return Made(reconstruct, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content))


POINTERS = (4).to_bytes(8, "little")


@pytest.mark.parametrize(
    "value",
    [
        forged_dtype("O8"),
        forged_dtype("O8", 3, "|", None, None, None, -1, -1, 63),
        # A plain type that a state turns into one of objects: its eight bytes would be taken for an address.
        forged_array(forged_dtype("u8", 3, "|", None, None, None, -1, -1, 63), POINTERS),
        forged_array(forged_dtype("V8", 3, "|", None, ("a",), {"a": (forged_dtype("O8"), 0)}, 8, 1, 27), POINTERS),
        forged_array(forged_dtype("u8", 3, "|", (forged_dtype("O8"), (1,)), None, None, -1, -1, 0), POINTERS),
        forged_array(forged_dtype("u8"), [Path("x")]),
        forged_array(forged_dtype("u8"), POINTERS, (2,)),
        forged_array(forged_dtype("u8"), POINTERS, (-1,)),
        forged_array(forged_dtype("u1"), b"x", (10**12,)),
        forged_array("u1", b"x"),
        forged_dtype("S10000000000"),
        forged_dtype("M8[ns]"),
        Made(np.ndarray, ((10**11,),)),
        Made(np.zeros(1).__reduce__()[0], (np.ndarray, (10**11,), b"b"), {"__setstate__": 1}),
        Made(np.zeros(1).__reduce__()[0], (np.matrix, (0,), b"b")),
        Made(print, ("executed",)),
        np.zeros(2, np.dtype([("a", "u1"), ("b", "O")])),
        np.array([None, 1], object),
        np.array(["text"]),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_no_state_makes_an_array_of_anything_but_numbers(tmp_path: Path, value: Any, protocol: int) -> None:
    path = tmp_path / "forged"
    path.write_bytes(pickle.dumps({b"data": value}, protocol=protocol))
    with pytest.raises(InputError, match="damaged or holds more than arrays"):
        load_plain(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million places
        b"\x80\x02Np2000000000\n.",
        b"\x80\x02\x82\x01.",  # an extension
        b"\x80\x02X\xff\xff\xff\x7fabc.",  # a text longer than the file
        b"\x80\x05\x8e" + (10**11).to_bytes(8, "little") + b"abc.",
        b"(ios\nsystem\n.",
        b"Pabc\n.",
        b"\x80\x02cnumpy\ndtype\nN}U\x01xNs\x86b.",  # a state for the type itself
        b"",
    ],
)
def test_no_pickle_takes_room_in_advance_or_reaches_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "forged"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_plain(path)


def test_one_text_is_not_encoded_over_and_over(tmp_path: Path) -> None:
    path = tmp_path / "forged"
    text = b"X" + (10**5).to_bytes(4, "little") + b"a" * 10**5 + b"q\x00"
    again = b"c_codecs\nencode\nh\x00\x85R"
    path.write_bytes(b"\x80\x02](" + text + again + b"e.")
    assert load_plain(path)[1] == b"a" * 10**5
    path.write_bytes(b"\x80\x02](" + text + again * 1000 + b"e.")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more bytes than the file has"):
            load_plain(path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_what_is_admitted_cannot_be_changed_by_a_state(tmp_path: Path) -> None:
    path = tmp_path / "forged"
    for name in (b"numpy.core.multiarray\n_reconstruct", b"_codecs\nencode", b"numpy\nndarray"):
        # A state of attributes for what stands for numpy's function or class.
        path.write_bytes(b"\x80\x02c" + name + b"\nN}U\x08__call__U\x01xs\x86b.")
        with pytest.raises(InputError):
            load_plain(path)
    plain = {b"data": IMAGES, b"labels": np.float32(0.5)}
    path.write_bytes(pickle.dumps(plain, protocol=2))
    again = load_plain(path)
    assert np.array_equal(again[b"data"], IMAGES) and again[b"labels"] == 0.5


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    # Protocol 2 of Python 2 keeps bytes as they are, where Python 3 writes encoded text.
    head = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = (
        b"(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb"
    )
    path = tmp_path / "old"
    path.write_bytes(head + kind + b"\x89U\x04\x01\x02\x03\x04tbs.")
    found = load_plain(path)
    assert found[b"data"].tolist() == [[1, 2], [3, 4]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pickle.load(io.BytesIO(path.read_bytes()), encoding="bytes")[b"data"].tolist() == [[1, 2], [3, 4]]
