"""Folders of images as people have them: recognised, or refused by what they look like; what is left out is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from rolewise.data import DataWarning, RawData, read
from rolewise.data.duplicates import find_duplicates
from rolewise.data.image_files import ENDINGS
from rolewise.errors import InputError

COUNTER = iter(range(10**9))


def picture(path: Path) -> None:
    """Writes a picture of which there is no second."""
    number = next(COUNTER)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (number % 256, number // 256 % 256, 50)).save(path, "PNG")


def pictures(root: Path, *folders: str) -> None:
    for folder in folders:
        for number in range(2):
            picture(root / folder / f"{number}.png")


def folder(root: Path, **arguments: object) -> RawData:
    return read("image_folder", root=root, size=4, **arguments)


def refusal(root: Path, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        folder(root, **arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("training", "testing"), ("Train", "TEST"), ("training_set", "test_set"), ("train", None)],
)
def test_parts_are_found_by_their_names(tmp_path: Path, train: str, test: str | None) -> None:
    pictures(tmp_path, f"{train}/cat", f"{train}/dog", *([f"{test}/cat", f"{test}/dog"] if test else []))
    raw = folder(tmp_path)
    assert raw.train.classes == ("cat", "dog") and len(raw.train) == 4 and (raw.test is not None) is (test is not None)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_test_set_of_one_s_own_folder(tmp_path: Path, absolute: bool) -> None:
    pictures(tmp_path / "photos", "cat", "dog")
    pictures(tmp_path / "shots of May", "cat", "dog")
    place = str(tmp_path / "shots of May") if absolute else "../shots of May"
    found = folder(tmp_path / "photos", test=place)
    assert found.test is not None and found.train.classes == found.test.classes == ("cat", "dog")
    assert len(found.train) == len(found.test) == 4
    (tmp_path / "shots of May" / "cow").mkdir()
    assert "must hold the same classes" in refusal(tmp_path / "photos", test=place)
    # A test part inside belongs to a training part inside.
    pictures(tmp_path / "photos", "kept/cat", "kept/dog")
    assert "must hold one training part" in refusal(tmp_path / "photos", test="kept")


def test_a_validation_part_is_said_or_asked_about(tmp_path: Path) -> None:
    pictures(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog")
    found = refusal(tmp_path)
    assert "train and val and no test part" in found and "data.arguments.test to val" in found
    raw = folder(tmp_path, test="val")
    assert raw.test is not None and len(raw.test) == 4
    assert folder(tmp_path, train="train").test is None
    pictures(tmp_path, "test/cat", "test/dog")
    with pytest.warns(DataWarning, match="left out: the folder val"):
        assert len(folder(tmp_path).train) == 4


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("test/cat", "test/dog", "val/cat", "val/dog"), ["must hold one training part, got none of test, val"]),
        (("train/cat", "train/dog", "training/cat", "training/dog"), ["one training part, got train, training"]),
        (("train/cat", "train/dog", "test/cat", "test/dog", "testing/cat"), ["one test part, got test, testing"]),
        (("train", "test"), ["test, train", "for each class"]),
        (("train/cat", "train/dog", "car"), ["train, which look like parts", "car, which look like classes"]),
        (("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"), ["fold1, fold2, which look like parts", "cat, dog"]),
        (("set/cat", "set/dog"), ["one folder alone, set", "data.arguments.folder"]),
        (("cat",), ["at least two classes, got cat"]),
        (
            ("",),
            ["at least two classes, got none and 2 images outside of them; put the images of each class into a folder"],
        ),
        (("train/cat", "train/dog", "test/cat"), ["1 folder is missing there: dog", "test must hold"]),
        (("train/cat", "train/dog", "test/cat", "test/dog", "test/bird"), ["train must hold", "missing there: bird"]),
        (("train/cat", "train/dog", "test/Cat", "test/dog"), ["missing there: cat", "spelt alike"]),
    ],
)
def test_what_could_be_either_is_refused(tmp_path: Path, folders: tuple[str, ...], parts: list[str]) -> None:
    pictures(tmp_path, *folders)
    found = refusal(tmp_path)
    assert all(part in found for part in parts), found


def test_a_name_in_another_encoding_can_be_written(tmp_path: Path) -> None:
    try:
        pictures(tmp_path, "dog", "eel", os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert folder(tmp_path).train.classes == ("caf\ufffd", "dog", "eel")


def test_a_class_may_be_called_as_a_part_is(tmp_path: Path) -> None:
    pictures(tmp_path, "bus", "car", "train")
    assert folder(tmp_path).train.classes == ("bus", "car", "train")
    shutil.rmtree(tmp_path / "bus")
    shutil.rmtree(tmp_path / "car")
    pictures(tmp_path, "test")
    assert folder(tmp_path, train=".").train.classes == ("test", "train")
    assert "missing is missing" in refusal(tmp_path, train="missing")
    assert "gone is missing; set data.root" in refusal(tmp_path, folder="gone")


def test_hidden_files_and_folders_are_skipped_at_every_depth(tmp_path: Path) -> None:
    pictures(tmp_path, "cat", "cat/inner", "dog")
    expected = folder(tmp_path)
    assert len(expected.train) == 6
    for place in ("__MACOSX/cat", "@eaDir", ".thumbnails"):
        pictures(tmp_path, place)
    (tmp_path / "cat" / "._0.png").write_bytes(b"a resource fork")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "old.jpg").mkdir()
    assert folder(tmp_path).train.labels.tolist() == [0, 0, 0, 0, 1, 1]
    pictures(tmp_path, "cat/.ipynb_checkpoints", "cat/inner/@eaDir", "cat/old.jpg")
    picture(tmp_path / "dog" / ".0.png")
    with pytest.warns(DataWarning, match="left out: 3 hidden"):
        assert folder(tmp_path).train.labels.tolist() == [0] * 6 + [1] * 2


def test_what_is_left_out_is_counted_by_ending_and_said_once(tmp_path: Path) -> None:
    pictures(tmp_path, "cat", "dog")
    for name in ("cat/a.svg", "cat/b.SVG", "dog/c.svg", "dog/d.txt", "dog/without"):
        (tmp_path / name).write_text("x")
    (tmp_path / "dog" / "broken.png").symlink_to("nowhere")
    picture(tmp_path / "loose.png")
    (tmp_path / "classes.txt").write_text("x")
    with pytest.warns(DataWarning) as caught:
        assert len(folder(tmp_path).train) == 4
    assert len(caught) == 1
    text = str(caught[0].message)
    for part in (
        "3 .svg",
        "1 .txt",
        "1 without an ending",
        "1 leading nowhere",
        "1 image outside of the classes' folders",
    ):
        assert part in text, text


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".JPG", ".avif", ".webp", ".tga", ".pnm"])
def test_more_endings_are_read(tmp_path: Path, ending: str) -> None:
    pictures(tmp_path, "cat", "dog")
    form = {".avif": "AVIF", ".webp": "WEBP", ".tga": "TGA", ".pnm": "PPM"}.get(ending, "JPEG")
    try:
        Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "dog" / f"x{ending}", form)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {form}")
    raw = folder(tmp_path)
    assert len(raw.train) == 5 and raw.train.batch(raw.train.labels.nonzero()[-1:, 0])[0, 0].min() > 150


def test_the_documentation_lists_the_endings() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "image_folder.md").read_text(encoding="utf-8")
    listed = next(line for line in text.splitlines() if line.startswith("Endings that are read"))
    assert set(listed.split("`")[1].split()) == ENDINGS


def test_a_class_without_images_says_what_it_holds(tmp_path: Path) -> None:
    pictures(tmp_path, "cat", "dog")
    (tmp_path / "eel").mkdir()
    assert "eel must hold images, got an empty folder" in refusal(tmp_path)
    (tmp_path / "eel" / "a.svg").write_text("x")
    assert "eel must hold images, got 1 .svg; endings that are read: .apng" in refusal(tmp_path)


def test_a_pipe_or_a_device_is_refused_by_name(tmp_path: Path) -> None:
    pictures(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "x.png")
    assert "x.png must be a file, got a pipe" in refusal(tmp_path)
    (tmp_path / "cat" / "x.png").unlink()
    (tmp_path / "cat" / "x.png").symlink_to("/dev/zero")
    assert "x.png must be a file, got a device" in refusal(tmp_path)


def test_links_are_followed_and_end(tmp_path: Path) -> None:
    pictures(tmp_path, "cat", "dog", "../elsewhere")
    (tmp_path / "cat" / "more").symlink_to(tmp_path.parent / "elsewhere")
    (tmp_path / "cat" / "more" / "again").symlink_to(tmp_path / "cat")
    try:
        assert len(folder(tmp_path).train) == 6
    finally:
        shutil.rmtree(tmp_path.parent / "elsewhere")


def test_copies_across_parts_and_within_are_said(tmp_path: Path) -> None:
    pictures(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog")
    folder(tmp_path)
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "test" / "dog" / "copy.png")
    with pytest.warns(DataWarning) as caught:
        folder(tmp_path)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "1 picture stands in the training and in the test part, such as train/cat/0.png, test/dog/copy.png" in text
    (tmp_path / "test" / "dog" / "copy.png").unlink()
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "train" / "dog" / "copy.png")
    with pytest.warns(DataWarning, match=r"1 picture stands more than once .*train/cat/0\.png, train/dog/copy\.png"):
        folder(tmp_path)
    # Copies within the test part alone teach nobody.
    shutil.move(tmp_path / "train" / "dog" / "copy.png", tmp_path / "test" / "cat" / "copy.png")
    shutil.copy(tmp_path / "test" / "cat" / "0.png", tmp_path / "test" / "cat" / "second.png")
    (tmp_path / "test" / "cat" / "copy.png").unlink()
    folder(tmp_path)


def test_files_are_told_apart_beyond_a_glance(tmp_path: Path) -> None:
    contents = [b"a" * 20_000, b"a" * 20_000, b"b" + b"a" * 19_999, b"a" * 10_000 + b"b" + b"a" * 9_999, b"a"]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert find_duplicates([*paths, tmp_path / "missing"]) == [paths[:2]]
