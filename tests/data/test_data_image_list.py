"""Lists of images, as CSV and as JSON lines: read by the names of columns, refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from rolewise.data import DataWarning, RawData, read_with
from rolewise.errors import InputError

NAMES = ("a.png", "deep/b.png", "c.webp", "d.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (50 * number, 9, 9)).save(path, lossless=True)
    return tmp_path


def listed(root: Path, name: str, text: str, **arguments: object) -> RawData:
    (root / name).write_text(text, encoding="utf-8")
    settings = {"file": name, "root": "pictures", "size": 4, **arguments}
    return read_with("image_list", settings, root=root, download=False, memory_budget_mb=2048.0)


def refusal(root: Path, name: str, text: str, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        listed(root, name, text, **arguments)
    return str(caught.value)


def test_cells_and_json_lines_read_alike(root: Path) -> None:
    labels = ("dog", "cat", "dog", "eel")
    cells = "label,note,image\n" + "".join(f'{b},"x, y",{a}\n' for a, b in zip(NAMES, labels, strict=True))
    lines = "".join(json.dumps({"image": a, "label": b}) + "\n\n" for a, b in zip(NAMES, labels, strict=True))
    for name, text in (
        ("a.csv", "\ufeff" + cells),
        ("a.tsv", cells.replace(",", "\t").replace("x\t y", "x, y")),
        ("a.jsonl", lines),
    ):
        raw = listed(root, name, text)
        assert raw.train.classes == ("cat", "dog", "eel") and raw.test is None
        assert raw.train.labels.tolist() == [1, 0, 1, 2]
        assert raw.train.batch(torch.arange(4))[:, 0, 0, 0].tolist() == [0, 50, 100, 150]


def test_columns_classes_and_a_test_list_are_named(root: Path) -> None:
    (root / "test.jsonl").write_text('{"file": "d.png", "kind": 2}\n{"file": "c.webp", "kind": "10"}\n')
    how = {"image": "file", "label": "kind", "test": "test.jsonl"}
    raw = listed(root, "train.csv", "file,kind\na.png,10\ndeep/b.png,2\n", **how)
    # Numbers are in their own order, not in that of their digits.
    assert raw.train.classes == ("2", "10") and raw.train.labels.tolist() == [1, 0]
    assert raw.test is not None and raw.test.labels.tolist() == [0, 1]
    named = listed(root, "train.csv", "file,kind\na.png,10\ndeep/b.png,2\n", **how, classes=["10", "7", "2"])
    assert named.train.classes == ("10", "7", "2") and named.test.labels.tolist() == [2, 0]
    (root / "test.jsonl").write_text('{"file": "d.png", "kind": 3}\n')
    found = refusal(root, "train.csv", "file,kind\na.png,10\ndeep/b.png,2\n", **how)
    assert 'test.jsonl, line 1: must be one of the 2 classes, got "3"; known: 10, 2; correct it, or name all' in found


def test_paths_begin_in_the_list_s_own_folder(root: Path) -> None:
    (root / "pictures" / "labels.csv").write_text("image,label\na.png,x\nd.png,y\n")
    raw = read_with(
        "image_list",
        {"file": "pictures/labels.csv", "size": 4},
        root=root,
        download=False,
        memory_budget_mb=2048.0,
    )
    assert len(raw.train) == 2


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("a.csv", "image,label\na.png,x\ngone.png,y\n", ["a.csv, line 3: ", "gone.png is missing", "arguments.root"]),
        ("a.csv", "path,label\na.png,x\n", ['line 2: must have "image", got path, label', "data.arguments.image"]),
        ("a.csv", "image,lable\na.png,x\n", ['"label", got image, lable; did you mean "lable"?', "arguments.label"]),
        ("a.csv", "image,label\na.png\n", ["line 2: must have 2 cells as the headings, got 1", "quotes"]),
        ("a.csv", "image,label\na.png,\n", ['line 2: "label" must be text or a whole number, got an empty cell']),
        ("a.csv", "image;label\na.png;x\n", ["a.csv must part its cells by commas, got semicolons (image;label)"]),
        ("a.csv", "image,image\na.png,x\n", ['distinct headings, got "image" more than once']),
        ("a.csv", 'image,label\na.png,"x\n', ["line 2: cannot be read as CSV", "save it anew"]),
        ("a.csv", "image,label\n", ["must list at least one image, got none"]),
        ("a.csv", "image,label\na.png,x\na.png,y\n", ["line 3:", 'one class, got "y", and "x" in line 2']),
        ("a.jsonl", '{"image": "a.png", "label": "x"}\n{oops\n', ["a.jsonl, line 2: cannot be read as JSON"]),
        ("a.jsonl", '["a.png", "x"]\n', ["line 1: must be an object such as"]),
        ("a.jsonl", '{"image": "a.png", "label": 1.5}\n', ["text or a whole number, got 1.5"]),
        ("a.jsonl", '{"image": "a.png", "label": null}\n', ["got an empty cell; fill it in"]),
        ("a.txt", "a.png x\n", ["must end in one of .csv, .tsv, .jsonl, .ndjson"]),
        ("a.csv", "image,label\na.png,x\nd.png,x\n", ["must have at least two classes, got 1"]),
    ],
)
def test_a_fault_is_told_with_its_line(root: Path, name: str, text: str, parts: list[str]) -> None:
    found = refusal(root, name, text)
    assert all(part in found for part in parts), found


def test_damaged_files_and_copies_are_told_as_of_folders(root: Path) -> None:
    (root / "pictures" / "d.png").write_bytes(b"none")
    text = "image,label\na.png,x\ndeep/b.png,y\nd.png,y\n"
    assert "d.png cannot be read as an image" in refusal(root, "a.csv", text)
    with pytest.warns(DataWarning, match="left out: 1 image of 3"):
        assert listed(root, "a.csv", text, faulty="skip").train.labels.tolist() == [0, 1]
    (root / "test.csv").write_text("image,label\na.png,x\n")
    with pytest.warns(DataWarning, match="1 picture stands in the training and in the test part"):
        listed(root, "a.csv", "image,label\na.png,x\nc.webp,y\n", test="test.csv")


def test_a_list_without_classes_needs_a_test_list_with_them(root: Path) -> None:
    assert "must be a list of labelled images where unlabelled is true" in refusal(
        root, "a.csv", "image\na.png\n", unlabelled=True
    )
    (root / "test.csv").write_text("image,label\nc.webp,y\nd.png,x\n")
    raw = listed(root, "a.csv", "image\na.png\ndeep/b.png\n", unlabelled=True, test="test.csv")
    assert raw.train.classes == ("x", "y") and raw.test is not None and raw.test.labels.tolist() == [1, 0]
    assert (raw.train.labels < 0).all()
