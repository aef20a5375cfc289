"""Arrays as people have them: read, or refused with the remedy that mends them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.data import DataWarning, StreamedArray, from_arrays, read
from rolewise.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
LABELS = np.arange(6) % 3
TEXT = np.array(["cat", "dog", "cat", "dog", "cat", "dog"])


def refusal(**arrays: Any) -> str:
    with pytest.raises(InputError) as caught:
        from_arrays({"images": IMAGES, "labels": LABELS, **arrays}, "mine")
    assert str(caught.value).startswith("mine")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("images", IMAGES / 255, "(images * 255).round().astype(np.uint8)"),
        ("images", IMAGES > 9, "images.astype(np.uint8) * 255"),
        ("images", IMAGES.astype(np.uint16), "/ 257"),
        ("images", IMAGES.astype(np.int64), "images.astype(np.uint8)"),
        ("images", IMAGES.reshape(6, 20), "images.reshape"),
        ("images", np.zeros((6, 16), np.uint8), "[4, 4]"),
        ("images", np.zeros((6, 8, 8, 4), np.uint8), "alpha"),
        ("images", np.zeros((6, 8, 8, 8, 3), np.uint8), "one of these shapes"),
        ("images", np.array([None] * 6), "np.stack"),
        ("images", IMAGES[:0], "must not be empty"),
        ("images", np.uint8(3), "one of these shapes"),
        ("images", [[[1]], [[1, 2]]], "np.stack"),
        ("labels", [[1], [1, 2]], "np.stack"),
        ("labels", LABELS[:, None], "labels[:, 0]"),
        ("labels", np.eye(3)[LABELS], "labels.argmax(1)"),
        ("labels", LABELS / 1, "labels.astype(np.int64)"),
        ("labels", TEXT, "classes, labels = np.unique(labels, return_inverse=True)"),
        ("labels", TEXT.astype(object), "np.array(labels.tolist())"),
        ("labels", LABELS[:4], "do images and labels belong together"),
        ("labels", LABELS[:, None, None], "one dimension"),
        ("labels", LABELS.astype("M8[s]"), "return_inverse"),
    ],
)
def test_each_other_form_is_refused_with_its_remedy(name: str, value: Any, remedy: str) -> None:
    found = refusal(**{name: value})
    assert remedy in found and f"{name} must" in found, found


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        (LABELS + 1, ["every number from 0 up", "1, 2, 3", "subtract 1", "4 names"]),
        (LABELS * 1000, ["0, 1000, 2000", "return_inverse", "classes"]),
        (np.where(LABELS > 1, 10**9, LABELS), ["1000000000", "return_inverse"]),
        (LABELS.astype(np.uint64) + np.uint64(2**63), ["return_inverse", str(2**63)]),
        (LABELS - 1, ["-1, 0, 1"]),
    ],
)
def test_labels_that_leave_classes_without_an_image_are_refused(labels: np.ndarray, parts: list[str]) -> None:
    found = refusal(labels=labels)
    assert all(part in found for part in parts), found


def test_classes_may_be_left_without_an_image_where_they_are_named() -> None:
    train, _ = from_arrays({"images": IMAGES, "labels": LABELS + 1, "classes": ["none", "a", "b", "c"]}, "mine")
    assert train.classes == ("none", "a", "b", "c") and train.labels.tolist() == (LABELS + 1).tolist()
    assert "0 to 1 for 2 classes, got 0 to 2" in refusal(classes=["a", "b"])
    assert "a more than once" in refusal(classes=["a", "b", "a"])
    for wrong in ("abc", [["a", "b", "c"]], 3):
        assert "classes must be a list of names" in refusal(classes=wrong)


def test_test_arrays_are_held_against_training_arrays(tmp_path: Path) -> None:
    both = {"images": COLOUR, "labels": LABELS, "test_labels": LABELS}
    for test, part in ((IMAGES, "channels"), (COLOUR[:, :4], "size"), (COLOUR.transpose(0, 2, 1, 3), "size")):
        np.savez(tmp_path / "data.npz", **both, test_images=test)
        with pytest.raises(InputError, match=f"the {part}.* of the training images"):
            read("npz", root=tmp_path)
    assert "test_labels must be numbers that training images have, 0 to 2, got 3" in refusal(
        test_images=IMAGES, test_labels=LABELS + 1
    )
    assert "must hold test_images" in refusal(test_labels=LABELS)
    assert "must hold test_labels" in refusal(test_images=IMAGES)


def test_test_images_that_are_training_images_are_said() -> None:
    arrays = {"images": IMAGES, "labels": LABELS, "test_labels": LABELS[:3]}
    from_arrays({**arrays, "test_images": IMAGES[:3] // 2}, "mine")
    test = np.stack([IMAGES[0] // 2, IMAGES[4], IMAGES[2]])
    with pytest.warns(
        DataWarning, match=r"mine: 2 test images are training images, such as test_images\[1\] and images\[4\]"
    ):
        from_arrays({**arrays, "test_images": test}, "mine")


def test_a_data_set_has_two_classes_or_more(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=LABELS * 0)
    with pytest.raises(InputError, match="at least two classes, got 1"):
        read("npz", root=tmp_path)


def test_the_three_layouts_are_one_picture(tmp_path: Path) -> None:
    for images, expected in (
        (IMAGES, IMAGES[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
    ):
        np.savez(tmp_path / "data.npz", images=images, labels=LABELS)
        np.save(tmp_path / "images.npy", images)
        np.save(tmp_path / "labels.npy", LABELS)
        resident, streamed = read("npy", root=tmp_path), read("npy", root=tmp_path, memory_budget_mb=1e-5)
        assert isinstance(streamed.train, StreamedArray) and streamed.train.size == (5, 4)
        for raw in (read("npz", root=tmp_path), resident, streamed):
            assert np.array_equal(raw.train.batch(torch.arange(6)).numpy(), expected) and raw.train.size == (5, 4)


def test_other_names_are_listed_and_can_be_given(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES // 2, y_test=LABELS)
    with pytest.raises(InputError) as caught:
        read("npz", root=tmp_path)
    listed = "must hold images and labels, got x_train, y_train, x_test, y_test"
    assert listed in str(caught.value) and "names: {images: x_train}" in str(caught.value)
    names = {"images": "x_train", "labels": "y_train", "test_images": "x_test", "test_labels": "y_test"}
    raw = read("npz", root=tmp_path, names=names, classes=["a", "b", "c"])
    assert raw.test is not None and len(raw.test) == 6 and raw.train.classes == ("a", "b", "c")
    with pytest.warns(DataWarning, match="x_test, y_test left out; read are images, labels"):
        assert read("npz", root=tmp_path, names={"images": "x_train", "labels": "y_train"}).test is None
    with pytest.raises(InputError, match=r"names\.images gives, and it is not there; did you mean \"x_train\""):
        read("npz", root=tmp_path, names={"images": "x_trian"})
    np.savez(tmp_path / "both.npz", images=IMAGES, labels=LABELS, pictures=IMAGES // 2)
    raw = read("npz", root=tmp_path, file="both.npz", names={"images": "pictures"})
    assert np.array_equal(raw.train.batch(torch.arange(6))[:, 0].numpy(), IMAGES // 2)
    with pytest.raises(InputError, match="names: must be a mapping of images, labels"):
        read("npz", root=tmp_path, names={"pictures": "x_train"})
    with pytest.raises(InputError, match="must be a mapping with images and labels, got list"):
        from_arrays([IMAGES, LABELS], "mine")


def test_a_file_is_refused_by_its_heads_before_any_content_is_read(tmp_path: Path, monkeypatch) -> None:
    np.savez(tmp_path / "data.npz", images=IMAGES / 255, labels=LABELS)
    np.save(tmp_path / "images.npy", IMAGES / 255)
    np.save(tmp_path / "labels.npy", LABELS)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("content was read"))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("content was read"))
    for name in ("npz", "npy"):
        with pytest.raises(InputError, match="255"):
            read(name, root=tmp_path)


def test_objects_in_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=TEXT.astype(object))
    with pytest.raises(InputError, match=r"np\.array\(labels\.tolist\(\)\)"):
        read("npz", root=tmp_path)
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=LABELS, classes=np.array(["a", "b", "c"], object))
    with pytest.raises(InputError, match="classes must be an array of text"):
        read("npz", root=tmp_path)
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", TEXT.astype(object))
    with pytest.raises(InputError, match=r"labels\.npy"):
        read("npy", root=tmp_path)


def own(**changes: Any) -> dict[str, Any]:
    return {"images": IMAGES, "labels": LABELS, **changes}


def test_the_same_rules_hold_for_ones_own_function() -> None:
    name = f"{__name__}:own"
    assert __name__ in sys.modules and len(read(name).train) == 6
    with pytest.raises(InputError, match="every number from 0 up"):
        read(name, labels=LABELS * 2)
    with pytest.raises(InputError, match="at least two classes"):
        read(name, labels=LABELS * 0)
    with pytest.warns(DataWarning, match="x_test left out"):
        read(name, x_test=IMAGES)
