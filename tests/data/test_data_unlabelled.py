"""Training images without classes: read from a flat folder, divided beside labelled ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from rolewise.data import ImageData, divide, read
from rolewise.data.targets import UNLABELLED, are_unlabelled
from rolewise.data.unlabelled import JoinedSources
from rolewise.errors import InputError


def pictures(root: Path, *places: str, count: int = 4) -> None:
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            level = len(list(root.rglob("*.png")))
            Image.new("RGB", (5, 5), (level, 7, 7)).save(root / place / f"{number}.png")


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "train"])
@pytest.mark.parametrize("budget", [2048.0, 1e-6])
def test_a_flat_folder_is_read_beside_labelled_test_images(tmp_path: Path, name: str, budget: float) -> None:
    pictures(tmp_path, name, f"{name}/deeper", "test/cat", "test/dog")
    raw = read("image_folder", root=tmp_path, size=4, unlabelled=True, memory_budget_mb=budget)
    assert raw.train.labels.tolist() == [UNLABELLED] * 8 and raw.train.classes == ("cat", "dog")
    assert raw.test is not None and raw.test.labels.tolist() == [0] * 4 + [1] * 4


def test_parts_are_named_where_they_are_not_found(tmp_path: Path) -> None:
    pictures(tmp_path, "mine", "held/cat", "held/dog")
    how = {"root": tmp_path, "size": 4, "unlabelled": True}
    with pytest.raises(
        InputError, match=r"one folder of images without classes .*, got none; name it in data\.arg.*n$"
    ):
        read("image_folder", **how)
    with pytest.raises(InputError, match=r"one folder of test images, by class, .* got none; .*\.test$"):
        read("image_folder", **how, train="mine")
    assert len(read("image_folder", **how, train="mine", test="held").train) == 4
    with pytest.raises(InputError, match=r"held must not lie in .*, whose images at every depth are trained on"):
        read("image_folder", **how, train=".", test="held")


def data(labels: list[int], start: int = 0) -> ImageData:
    levels = torch.arange(start, start + len(labels), dtype=torch.uint8)
    return ImageData(levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous(), torch.tensor(labels), ("a", "b"))


def test_validation_and_test_images_are_labelled_ones_and_distinct() -> None:
    train, labelled = data([UNLABELLED] * 6), data([0, 1] * 10, 100)
    how = {"name": "x", "limit": None, "split_seed": 3, "validation": 6}
    divided = divide(train, labelled, test=None, **how)
    assert divided.validation is not None and len(divided.validation) == 6 and len(divided.test) == 14
    seen = divided.source.labels[divided.validation]
    assert seen.bincount().tolist() == [3, 3]
    validating = divided.source.batch(divided.validation)[:, 0, 0, 0].tolist()
    tested = divided.test_source.batch(divided.test)[:, 0, 0, 0].tolist()
    assert sorted(validating + tested) == list(range(100, 120))
    assert divided.source.batch(divided.usable)[:, 0, 0, 0].tolist() == list(range(6))
    fewer = divide(train, labelled, test=4, **{**how, "limit": 3})
    assert len(fewer.test) == 4 and len(fewer.usable) == 3 and set(fewer.test.tolist()) <= set(divided.test.tolist())
    assert torch.equal(fewer.source.batch(fewer.validation), divided.source.batch(divided.validation))
    for settings, rule in (
        ({"validation": 20}, "must leave some of the 20 labelled images to test on"),
        ({"test": 15}, "must be 1 to 14, the labelled images that do not validate"),
        ({"limit": 7}, "must be at most the 6 training examples"),
    ):
        with pytest.raises(InputError, match=rule):
            divide(train, labelled, **{**how, "test": None, **settings})
    with pytest.raises(InputError, match="must have test images with classes"):
        divide(train, None, test=None, **how)


def test_joined_sources_give_their_images_in_the_order_of_the_indices() -> None:
    joined = JoinedSources(data([UNLABELLED] * 4), data([0, 1, 1], 50))
    assert len(joined) == 7 and are_unlabelled(joined.labels) and not are_unlabelled(joined.labels[4:])
    for order in ([5, 0, 6, 3, 4], [1, 0], [6, 4]):
        expected = [index if index < 4 else 46 + index for index in order]
        assert joined.batch(torch.tensor(order))[:, 0, 0, 0].tolist() == expected


def test_a_slip_in_labels_is_no_image_without_a_class() -> None:
    with pytest.raises(InputError, match="labels must be 0 to 1, got -1 to 1"):
        data([0, 1, -1])
