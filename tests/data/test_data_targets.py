"""Targets that are no classes: several labels of an image, or numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.data import ImageData, divide, fingerprint, read, split, stratified_subset
from rolewise.data.targets import kind_of_targets, strata_of
from rolewise.errors import InputError

N = 24
IMAGES = np.arange(N * 16, dtype=np.uint8).reshape(N, 4, 4)
LABELS = (np.arange(N)[:, None] % np.array([2, 3, 4]) == 0).astype(np.int64)
NUMBERS = np.linspace(-3, 3, N)


def saved(folder: Path, labels: np.ndarray) -> None:
    np.savez(folder / "data.npz", images=IMAGES, labels=labels, test_images=IMAGES[:5] + 1, test_labels=labels[:5])
    np.save(folder / "images.npy", IMAGES)
    np.save(folder / "labels.npy", labels)


@pytest.mark.parametrize("name", ["npz", "npy"])
def test_arrays_of_labels_and_numbers_are_read(tmp_path: Path, name: str):
    saved(tmp_path, LABELS)
    source = read(name, root=tmp_path, targets="labels").train
    assert source.labels.dtype == torch.uint8
    assert source.labels.tolist() == LABELS.tolist()
    assert source.classes == ("0", "1", "2")
    assert read(name, root=tmp_path, targets="labels", classes=["a", "b", "c"]).train.classes == ("a", "b", "c")
    saved(tmp_path, LABELS * 0.5)
    assert read(name, root=tmp_path, targets="labels").train.labels.tolist() == (LABELS * 0.5).tolist()
    saved(tmp_path, NUMBERS)
    numbers = read(name, root=tmp_path, targets="numbers").train
    assert numbers.classes == ("target",)
    np.testing.assert_array_equal(numbers.labels.numpy(), NUMBERS.astype(np.float32)[:, None])
    assert kind_of_targets(numbers.labels) == "numbers"


@pytest.mark.parametrize("name", ["npz", "npy"])
@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (LABELS, {}, r'labels.argmax\(1\); where they are several labels or numbers, set targets to "labels" or'),
        (NUMBERS, {}, 'set targets to "labels" or "numbers"'),
        (
            LABELS[:, 0],
            {"targets": "labels"},
            r"must be \[N, K\] of 0 and 1, for each of the 24 images, got int64 \[24",
        ),
        (LABELS[:9], {"targets": "labels"}, "do images and targets belong together"),
        (LABELS * 3, {"targets": "labels"}, r"labels must be 0 or 1, got \[3.0, 3.0, 3.0\] of image 0; numbers to be"),
        (NUMBERS[:, None, None], {"targets": "numbers"}, r"must be numbers \[N\] or \[N, D\]"),
        (
            np.where(NUMBERS > 2.9, np.nan, NUMBERS),
            {"targets": "numbers"},
            r"finite, got \[nan\] of image 23; leave it",
        ),
        (LABELS, {"targets": "labels", "classes": ["a", "b"]}, "a name for each of the 3 labels, got 2"),
        (
            LABELS,
            {"targets": "several"},
            'targets: must be "classes" or "labels" or "numbers" or "masks" or "boxes" or "points", got "several"',
        ),
    ],
)
def test_arrays_of_another_kind_are_refused(
    tmp_path: Path, name: str, labels: np.ndarray, arguments: dict[str, object], message: str
):
    saved(tmp_path, labels)
    with pytest.raises(InputError, match=message):
        read(name, root=tmp_path, **arguments)


def test_a_function_says_what_its_labels_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = "import numpy as np\n\n\ndef make(kind):\n    images = np.zeros((6, 4, 4), np.uint8)\n"
    source += "    return {'images': images, 'labels': np.arange(6) / 2, 'targets': kind}\n"
    (tmp_path / "numbers_made.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert read("numbers_made:make", kind="numbers").train.labels.tolist() == [[index / 2] for index in range(6)]
    with pytest.raises(
        InputError, match=r'targets must be "classes" or "labels" or "numbers" or "masks" or "boxes" or .*got "many"'
    ):
        read("numbers_made:make", kind="many")


def test_pairs_of_digits_show_each_digit_once():
    labels, numbers = (read("digit_pairs", targets=kind).train for kind in ("labels", "numbers"))
    digits = read("digits").train
    assert isinstance(labels, ImageData)
    assert isinstance(digits, ImageData)
    assert labels.size == (8, 16)
    assert torch.equal(labels.batch(torch.arange(898)), numbers.batch(torch.arange(898)))
    halves = Counter(map(tuple, torch.cat([labels.images[..., :8], labels.images[..., 8:]]).flatten(1).tolist()))
    known = Counter(map(tuple, digits.images.flatten(1).tolist()))
    assert not halves - known
    assert (known - halves).total() == 1
    names = torch.arange(10, dtype=torch.float32)
    alike = labels.labels.sum(1) == 1  # two of the same digit are one label
    sums = labels.labels.float() @ names * torch.where(alike, 2, 1)
    assert torch.equal(sums[:, None], numbers.labels)
    assert numbers.classes == ("sum",)


def test_splits_have_their_share_of_every_stratum():
    sets = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.uint8).repeat_interleave(40, 0)
    parts = split(sets, validation=30, test=0.5, seed=3)
    assert strata_of(sets)[parts.test].bincount().tolist() == [20, 20, 20]
    assert strata_of(sets)[parts.validation].bincount().tolist() == [10, 10, 10]
    numbers = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    assert strata_of(numbers).bincount().tolist() == [10] * 10
    chosen = stratified_subset(torch.arange(100), numbers, 20, 0)
    assert strata_of(numbers)[chosen].bincount().tolist() == [2] * 10
    data = ImageData(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), numbers, ("a", "b"))
    assert len(divide(data, None, name="own", test=20, limit=30, split_seed=0).usable) == 30


def test_fingerprints_tell_numbers_apart():
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    marks = [
        fingerprint(ImageData(images, torch.tensor([[0.1], [value]]), ("target",)))["labels"] for value in (0.2, 0.3)
    ]
    assert marks[0] != marks[1]


def pictures(folder: Path, text: str) -> None:
    (folder / "images").mkdir()
    for index in range(3):
        Image.fromarray(np.full((6, 6), 40 * index, np.uint8)).save(folder / "images" / f"{index}.png")
    (folder / "labels.csv").write_text(text)


@pytest.mark.parametrize(
    ("text", "kind", "labels", "names"),
    [
        ("image,animal\n0.png,dog\n1.png,cat\n2.png,dog\n", "classes", [1, 0, 1], ("cat", "dog")),
        ("image,cat,dog\n0.png,1,0\n\n2.png,1,1\n", "labels", [[1, 0], [1, 1]], ("cat", "dog")),
        ("\ufeffimage,weight\n2.png,-1.5\n1.png,2e1\n", "numbers", [[-1.5], [20.0]], ("weight",)),
    ],
)
def test_a_table_names_images_and_targets(tmp_path: Path, text: str, kind: str, labels: list[object], names: tuple):
    pictures(tmp_path, text)
    arguments = {"folder": "images", "size": 4, "grayscale": True, "targets": kind}
    source = read("image_table", root=tmp_path, **arguments).train
    streamed = read("image_table", root=tmp_path, memory_budget_mb=1e-6, **arguments).train
    assert source.labels.tolist() == labels
    assert source.classes == names
    everything = torch.arange(len(source))
    assert torch.equal(source.batch(everything), streamed.batch(everything))
    first = int(text.splitlines()[1][0])
    assert int(source.batch(everything)[0].max()) == 40 * first


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "classes", "must have a line of headings.*got nothing and 0 rows"),
        ("image\n0.png\n", "classes", "must have a line of headings"),
        ("image,a,a\n0.png,1,1\n", "labels", "distinct headings, got a more than once"),
        ("image,a,b\n0.png,1,1\n", "classes", "one column of classes beside the image's, got a, b; set data.arguments"),
        ("image,a,b\n0.png,1\n", "labels", "line 2: must have 3 cells, got 2"),
        ("image,a\n0.png,1\n9.png,1\n", "numbers", "line 3: .*9.png is missing.*below data.arguments.folder"),
        ("image,a\n,1\n", "numbers", "line 2: must begin with the path of an image"),
        ("image,a\n0.png,many\n", "numbers", 'line 2: a target must be a finite number, got "many"'),
        ("image,a\n0.png,inf\n", "numbers", 'line 2: a target must be a finite number, got "inf"'),
        ("image;a\n0.png;1\n", "labels", r"labels.csv must part its cells by commas, got semicolons \(image;a\)"),
        ("image,a\n0.png,dog\n1.png,\n", "classes", "line 3: must have a class, got an empty cell"),
        (
            "image,a\n0.png,dog\n0.png,dog\n0.png,cat\n",
            "classes",
            "line 4: 0.png must have one row of targets, got cat, and dog in line 2; remove one",
        ),
        ("image,a,b\n0.png,1,0\n0.png,1,1\n", "labels", "line 3: 0.png must .*, got 1, 1, and 1, 0 in line 2"),
        ("image,a\n0.png,2\n", "labels", r"labels must be 0 or 1, got \[2.0\] of image 0"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, text: str, kind: str, message: str):
    pictures(tmp_path, text)
    with pytest.raises(InputError, match=message):
        read("image_table", root=tmp_path, folder="images", targets=kind)
